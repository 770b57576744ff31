"""What the tab Train shows of a lesson: HTML, curves, and a file to take along."""

import csv
import dataclasses
import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnn.data import datasets
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import SamplePredictions, TrainingResult
from cnn.plots import charts
from cnn.training.config import Recipe
from cnn.training.presets import PRESETS
from cnn.web import components

LESSONS = {
    "mnist-98": "MNIST to 98.5 %",
    "mnist-99": "MNIST to 99 %",
    "mnist-99.5": "MNIST to 99.5 %",
    "synthetic": "Digits of our own, no download",
    "cifar10-74": "CIFAR-10 to 75 %",
    "cifar10-78": "CIFAR-10 to 80 %",
    "cifar10-90": "CIFAR-10 to 90 %",
    "cifar10-94": "CIFAR-10 to 93 %, while you fetch a coffee",
}
COLORS = {"train": "#8f9198", "validation": "#ff6a3a"}
RUNS = ["#8f9198", "#4f9bd9", "#d9a441", "#ff6a3a"]
MEASURES = {"loss": "Loss", "accuracy": "Accuracy, %", "learning_rate": "Learning rate"}
MOST_POINTS = 300  # of a curve: one for two pixels


def lessons(chosen: str, estimates: Mapping[Recipe, float], limit: float) -> str:
    """The lessons to choose from, each with the time it takes here, as HTML."""
    cards = (
        _lesson(name, title, name == chosen, estimates.get(PRESETS[name].recipe), limit)
        for name, title in LESSONS.items()
    )
    return f"<div class='lessons' role='radiogroup' aria-label='Lesson'>{''.join(cards)}</div>"


def _lesson(name: str, title: str, chosen: bool, seconds: float | None, limit: float) -> str:
    too_long = seconds is not None and seconds > limit
    if seconds is None:
        words = "&nbsp;"
    elif seconds == math.inf:
        words = "cannot be held on this machine"
    else:
        words = f"about {duration(seconds)} here"
        words += f", and a lesson may take {duration(limit)}" * too_long
    state = " disabled" * too_long + " checked" * chosen
    return (
        f"<label><input type='radio' name='lesson' value='{name}'{state}>"
        f"<span>{title}</span><small>{words}</small></label>"
    )


def duration(seconds: float) -> str:
    """A time in words: seconds below two minutes, else minutes."""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def waiting(before: int, seconds: float) -> str:
    """A place in the line, as HTML; nothing of one that moves at once."""
    if not seconds:
        return status("Getting ready.")
    others = "One lesson goes" if before == 1 else f"{before} lessons go"
    return status(f"{others} before yours, which begins in about {duration(seconds)}.")


def loading(title: str, share: float) -> str:
    """How much of a data set has been downloaded, with a bar, as HTML."""
    bar = f"<progress value='{share:.3f}'></progress>"
    return f"<p class='status' role='status'>Downloading {title}: {100 * share:.0f} % {bar}</p>"


def status(words: str) -> str:
    """The line on how the lesson stands, as HTML."""
    return f"<p class='status' role='status'>{html.escape(words)}</p>"


def curve(rows: Sequence[Mapping], measure: str) -> str:
    """A measure of a course by step, for training and validation, as curves.js draws it."""
    splits = {name: [row for row in rows if row["split"] == name] for name in COLORS}
    if measure == "learning_rate":
        splits = {"": splits["train"]}
    lines = zip(splits.items(), COLORS.values(), strict=False)
    curves = [_line(name, color, rows, "step", measure) for (name, rows), color in lines]
    return json.dumps({"title": MEASURES[measure], "by": "step", "curves": curves})


def _line(name: str, color: str, rows: Sequence[Mapping], by: str, measure: str) -> dict:
    factor = 100 if measure == "accuracy" else 1
    shown = [*rows[: -1 : 1 + len(rows) // MOST_POINTS], *rows[-1:]]
    points = [(round(row[by], 2), float(f"{factor * row[measure]:.4g}")) for row in shown]
    return {"name": name, "color": color, "points": points}


def write_curve(path: Path, course: TrainingJob) -> Path:
    """The whole curve as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(course.metrics[0]))
        writer.writeheader()
        writer.writerows(course.metrics)
    return path


def opinions(look: SamplePredictions, classes: Sequence[str]) -> str:
    """Pictures with what the network takes them for, as HTML."""
    return _tiles(look, classes, "<figcaption>{guess} <span>{share} %</span></figcaption>")


def mistakes(look: SamplePredictions, classes: Sequence[str]) -> str:
    """Pictures with what the network wrongly takes them for, and what they are, as HTML."""
    if not len(look.split):
        return "<p class='museum'>It has all of them right.</p>"
    words = "<figcaption>{guess} <span>{share} %</span><br>it is {label}</figcaption>"
    return f"<div class='mistakes'>{_tiles(look, classes, words)}</div>"


def _tiles(look: SamplePredictions, classes: Sequence[str], caption: str) -> str:
    numbers = (look.split.labels, look.probabilities, look.predictions)
    tiles = []
    columns = (look.split.images, *(n.tolist() for n in numbers))
    for image, label, share, guess in zip(*columns, strict=True):
        words = caption.format(
            guess=classes[guess], share=math.floor(100 * share), label=classes[label]
        )
        tiles.append(
            f"<figure class='{'right' if guess == label else 'wrong'}'>"
            f"<img src='{components.inline(charts.thumbnail(image))}' alt='{classes[label]}'>"
            f"{words}</figure>"
        )
    return f"<div class='opinions'>{''.join(tiles)}</div>"


def ending(outcome: TrainingResult) -> str:
    """What came of a lesson, in words."""
    card = outcome.checkpoint.card
    return (
        f"{100 * card.test_accuracy:.2f} % of the test pictures right after {card.seconds:.1f} s "
        f"of training. {outcome.summary}"
    )


def together(courses: Sequence[TrainingJob], measure: str, by: str) -> str:
    """A measure of several courses while they trained, by "step" or "second", for curves.js."""
    training = [[row for row in one.metrics if row["split"] == "train"] for one in courses]
    curves = [
        _line(f"run {number}", color, rows, by, measure)
        for number, (rows, color) in enumerate(zip(training, RUNS, strict=False), 1)
    ]
    return json.dumps({"title": MEASURES[measure], "by": by, "curves": curves})


def differences(courses: Sequence[TrainingJob]) -> str:
    """What differed between several courses, and what came of it, as an HTML table."""
    recipes = [dataclasses.asdict(course.recipe) for course in courses]
    rows = {
        name.replace("_", " "): [_written(recipe[name]) for recipe in recipes]
        for name in recipes[0]
        if len({str(recipe[name]) for recipe in recipes}) > 1
    }
    cards = [course.result.checkpoint.card for course in courses]
    rows["seconds of training"] = [f"{card.seconds:.1f}" for card in cards]
    rows["validation pictures right"] = [
        f"{100 * card.validation_accuracy:.2f} %" for card in cards
    ]
    head = "".join(
        f"<th scope='col'><i style='background:{RUNS[number]}'></i>run {number + 1}, "
        f"{datasets.get_dataset(course.recipe.dataset).title}{_twin(courses[:number], course)}</th>"
        for number, course in enumerate(courses)
    )
    body = "".join(
        f"<tr><th scope='row'>{name}</th>{''.join(f'<td>{value}</td>' for value in values)}</tr>"
        for name, values in rows.items()
    )
    return f"<table class='shape runs'><thead><tr><th></th>{head}</tr></thead>{body}</table>"


def _twin(earlier: Sequence[TrainingJob], course: TrainingJob) -> str:
    """Which earlier run lies under this one's curve by step, if one does."""
    losses = _losses(course)
    for number, other in enumerate(earlier, 1):
        theirs = _losses(other)
        if all(losses[point] == theirs[point] for point in losses.keys() & theirs.keys()):
            same = other.recipe == course.recipe
            return f"<br>{'step by step the same as' if same else 'goes on from'} run {number}"
    return ""


def _losses(course: TrainingJob) -> dict[tuple[int, str], float]:
    return {(row["step"], row["split"]): row["loss"] for row in course.metrics}


def _written(value: object) -> str:
    if value is None:
        return "its own"
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
