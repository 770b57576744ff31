"""What the tab Train shows of runs, as HTML, and a file to take along."""

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnn.data import datasets
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import SamplePredictions, Snapshot, TrainingResult
from cnn.plots import charts
from cnn.training.config import Recipe
from cnn.training.presets import PRESETS
from cnn.web import components, curves

PRESET_NAMES = (
    *("mnist-98", "mnist-99", "mnist-99.5", "synthetic"),
    *("cifar10-74", "cifar10-78", "cifar10-90", "cifar10-94"),
)
NO_EXAMPLES = {"epoch": "", "loss": ""}


def preset_cards(chosen: str, estimates: Mapping[Recipe, float], limit: float) -> str:
    """Render the presets to choose from, each with the time that it takes on this machine."""
    return components.render(
        "train_presets.html",
        presets=[
            {
                "name": name,
                "title": PRESETS[name].title.replace(" %", "\u00a0%"),
                "chosen": name == chosen,
                **_estimate(estimates.get(PRESETS[name].recipe), limit),
            }
            for name in PRESET_NAMES
        ],
    )


def _estimate(seconds: float | None, limit: float) -> dict:
    if seconds is None:
        return {"note": "", "disabled": False}
    if seconds == math.inf:
        return {"note": "cannot run on this machine", "disabled": True}
    note = f"about {duration(seconds)} here"
    if seconds > limit:
        note += f"; a run may take {duration(limit)}"
    return {"note": note, "disabled": seconds > limit}


def duration(seconds: float) -> str:
    """Write a time: seconds below two minutes, else minutes."""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def help_texts(names: Sequence[str]) -> str:
    """Render what each hyperparameter means."""
    fields = {field.name: field.metadata["help"] for field in dataclasses.fields(Recipe)}
    terms = [(name.replace("_", " "), fields[name]) for name in names]
    return components.render("definitions.html", terms=terms)


def status(
    message: str,
    progress: float | None = None,
    accuracy: float | None = None,
    accuracy_label: str = "",
    examples: Mapping[str, str] = NO_EXAMPLES,
) -> str:
    """Render how a run stands: a sentence, the progress in [0, 1], the accuracy in [0, 1].

    `examples` tell what "epoch" and "loss" are in this run.
    """
    return components.render(
        "train_status.html",
        message=message,
        progress=progress,
        accuracy="" if accuracy is None else f"{100 * accuracy:.1f} %",
        accuracy_label=accuracy_label,
        examples=examples,
    )


def _examples(steps: int, epochs: float, batch_size: int, loss: float) -> dict[str, str]:
    return {
        "epoch": f"an epoch of this run is {steps / epochs:,.0f} steps of {batch_size} images.",
        "loss": f"the loss is {loss:.3f}, as if every true class had a probability of "
        f"exp(\u2212{loss:.3f}) = {components.percent(math.exp(-loss))}.",
    }


def position(count: int, eta: float) -> str:
    """Render a place in the queue."""
    if not count:
        return status("Getting ready …")
    runs = "1 run is" if count == 1 else f"{count} runs are"
    return status(f"{runs} ahead of yours, which starts in about {duration(eta)}.")


def progress(job: TrainingJob, snapshot: Snapshot) -> str:
    """Render how a run stands by its last snapshot and its rows so far."""
    if snapshot.loading is not None:
        title = datasets.get_dataset(job.recipe.dataset).title
        return status(f"Downloading {title}: {100 * snapshot.loading:.0f} %", snapshot.loading)
    rows = [row for row in job.metrics if row["split"] == "validation"]
    label = "validation accuracy"
    accuracy = rows[-1]["accuracy"] if rows else None
    if snapshot.progress and not rows:
        accuracy, label = snapshot.progress.train_accuracy, "training accuracy"
    if snapshot.phase == "testing":
        message = f"Testing on images that it never learned from: {100 * snapshot.testing:.0f} %"
        return status(message, snapshot.testing, accuracy, label)
    update = snapshot.progress
    if update is None:
        return status("Getting ready …")
    message = (
        f"Epoch {update.epoch}, step {update.step:,} of {update.steps:,} · "
        f"{update.seconds:.1f} s · {update.images_per_second:,.0f} images per second · about "
        f"{duration(job.seconds_left)} left"
    )
    if job.stop_requested:
        message = f"Stopping after step {update.step:,} …"
    recipe = job.recipe
    examples = _examples(update.steps, recipe.epochs, recipe.batch_size, update.train_loss)
    return status(message, round(update.step / update.steps, 4), accuracy, label, examples)


def result(outcome: TrainingResult) -> str:
    """Render the test accuracy and how training and validation compare."""
    card = outcome.checkpoint.card
    message = f"Trained in {card.train_seconds:.1f} s. {outcome.summary}"
    last, batch_size = card.history[-1], card.config["batch_size"]
    examples = _examples(last["step"], last["epoch"], batch_size, card.test_loss)
    return status(message, None, card.test_accuracy, "test accuracy", examples)


def samples(predictions: SamplePredictions, classes: Sequence[str], many: bool = False) -> str:
    """Render images with their true class, the predicted one and its probability."""
    columns = (
        predictions.split.labels.tolist(),
        predictions.predictions.tolist(),
        predictions.probabilities.tolist(),
    )
    return components.render(
        "train_samples.html",
        many=many,
        samples=[
            {
                "source": components.inline(charts.thumbnail(image)),
                "label": classes[label],
                "prediction": classes[predicted],
                "probability": f"{math.floor(100 * probability)} %",
                "correct": label == predicted,
            }
            for image, label, predicted, probability in zip(
                predictions.split.images, *columns, strict=True
            )
        ],
    )


def write_metrics(path: Path, job: TrainingJob) -> Path:
    """Write all rows of a job's metrics as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(job.metrics[0]))
        writer.writeheader()
        writer.writerows(job.metrics)
    return path


def runs(jobs: Sequence[TrainingJob]) -> str:
    """Render what differs between several runs, and how each ended, as a table."""
    recipes = [dataclasses.asdict(job.recipe) for job in jobs]
    rows = [
        {
            "label": name.replace("_", " "),
            "cells": [_written(r[name]) for r in recipes],
        }
        for name in recipes[0]
        if len({str(recipe[name]) for recipe in recipes}) > 1
    ]
    cards = [job.result.checkpoint.card for job in jobs]
    rows += [
        {"label": label, "cells": values}
        for label, values in (
            ("training", [f"{card.train_seconds:.1f} s" for card in cards]),
            (
                "validation accuracy",
                [f"{100 * c.validation_accuracy:.2f} %" for c in cards],
            ),
            ("test accuracy", [f"{100 * card.test_accuracy:.2f} %" for card in cards]),
        )
    ]
    return components.render(
        "train_runs.html",
        rows=rows,
        runs=[
            {
                "number": number,
                "color": color,
                "parent": jobs.index(job.parent) + 1 if job.parent in jobs else None,
            }
            for number, (job, color) in enumerate(zip(jobs, curves.RUN_COLORS, strict=False), 1)
        ],
    )


def _written(value: object) -> str:
    if value is None:
        return "default"
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
