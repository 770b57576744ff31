"""The tab Train: a network learns from nothing while one watches."""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pandas as pd
from PIL import Image

from cnn import UserError, checkpoints, datasets, lesson
from cnn.lesson import Lesson
from cnn.page import parts
from cnn.training import PRESETS, Progress, Recipe

LESSONS = {
    "MNIST, less than half an epoch": "mnist-98",
    "MNIST, an epoch and a half": "mnist-99",
    "Digits of our own, no download": "synthetic",
    "CIFAR-10, two epochs": "cifar10-78",
}
CHOICES = (
    *("model", "epochs", "batch_size", "optimizer", "learning_rate", "momentum", "schedule"),
    *("augmentation", "label_smoothing", "dropout", "seed"),
)
MUSEUM = (
    "Before its first step the network guesses, one time in ten rightly; each step shows it a "
    "few hundred pictures and moves every weight a little. Watch its first filters turn from noise "
    "into edges, then start again with ten times the learning rate."
)
SECONDS_BETWEEN_FILTERS = 1.0
COLORS = {"training": "#8f9198", "validation": "#ff6a3a"}


def tab() -> None:
    """Add the tab."""
    with gr.Tab("Train", id="train"):
        course = gr.State(None)
        with gr.Row():
            with gr.Column(scale=3):
                chosen = gr.Radio(
                    list(LESSONS.items()),
                    value="mnist-99",
                    label="Lesson",
                    show_label=False,
                    container=False,
                )
            with gr.Column(scale=2):
                with gr.Row():
                    start = gr.Button("Start", variant="primary")
                    stop = gr.Button("Stop and keep")
                with gr.Accordion("Every choice", open=False):
                    widgets = [_widget(name, PRESETS["mnist-99"]) for name in CHOICES]
        status = gr.HTML(_status("Choose a lesson and press Start."), apply_default_css=False)
        with gr.Row():
            with gr.Column(scale=3):
                loss, accuracy = (_plot(measure) for measure in ("loss", "accuracy"))
            with gr.Column(scale=2):
                filters = gr.Image(
                    label="First filters",
                    show_label=False,
                    format="png",
                    height=220,
                    buttons=["download"],
                )
                opinions = gr.HTML(apply_default_css=False)
                download = gr.DownloadButton("Download the network", interactive=False)
        gr.HTML(f"<p class='museum'>{MUSEUM}</p>", apply_default_css=False)
        views = [course, status, loss, accuracy, filters, opinions, download]
        chosen.change(_filled, chosen, widgets, api_visibility="private")
        start.click(
            _learn,
            [chosen, *widgets],
            views,
            show_progress="hidden",
            concurrency_limit=1,
            concurrency_id="train",
            api_visibility="private",
        )
        stop.click(_stop, course, queue=False, api_visibility="private")


def _widget(name: str, recipe: Recipe) -> gr.components.Component:
    field = next(field for field in dataclasses.fields(Recipe) if field.name == name)
    choices, value = field.metadata["choices"], getattr(recipe, name)
    label, help_text = name.replace("_", " "), field.metadata["help"]
    if isinstance(value, tuple):
        return gr.CheckboxGroup(list(choices), value=list(value), label=label, info=help_text)
    if choices:
        return gr.Dropdown(list(choices), value=value, label=label, info=help_text)
    low, high = field.metadata["within"]
    return gr.Number(value, label=label, info=help_text, minimum=low, maximum=high)


def _plot(measure: str) -> gr.LinePlot:
    return gr.LinePlot(
        pd.DataFrame({"step": [0, 0], measure: [float("nan")] * 2, "split": list(COLORS)}),
        x="step",
        y=measure,
        color="split",
        color_map=COLORS,
        title={"loss": "Loss", "accuracy": "Accuracy, %"}[measure],
        height=260,
    )


def _filled(preset: str) -> list:
    recipe = PRESETS[preset]
    values = [getattr(recipe, name) for name in CHOICES]
    return [list(value) if isinstance(value, tuple) else value for value in values]


def _recipe(preset: str, values: tuple) -> Recipe:
    given = dict(zip(CHOICES, values, strict=True))
    given["augmentation"] = tuple(given["augmentation"])
    for name in ("batch_size", "seed"):
        given[name] = int(given[name])
    return dataclasses.replace(PRESETS[preset], **given)


def _learn(preset: str, *values) -> Iterator[list]:
    with parts.toast():
        course, shown = Lesson(_recipe(preset, values)), 0.0
        for progress in course.follow():
            fresh = time.monotonic() - shown > SECONDS_BETWEEN_FILTERS
            shown = time.monotonic() if fresh else shown
            yield _view(course, progress, fresh)
        yield _end(course)


def _view(course: Lesson, progress: Progress, fresh: bool) -> list:
    curve = _curve(course)
    pictures = [course.filters(), _opinions(course)] if fresh else [gr.skip(), gr.skip()]
    return [course, _status(lesson.describe(progress)), curve, curve, *pictures, gr.skip()]


def _curve(course: Lesson) -> pd.DataFrame:
    return pd.DataFrame(course.curve).assign(accuracy=lambda rows: 100 * rows["accuracy"])


def _end(course: Lesson) -> list:
    checkpoint = course.finish()
    card = checkpoint.card
    folder = Path(tempfile.mkdtemp(prefix="cnn-", dir=gr.utils.get_upload_folder()))
    file = folder / f"{card.dataset}-{card.model}.safetensors"
    checkpoints.save(file, checkpoint)
    words = (
        f"{100 * card.test_accuracy:.2f} % of the test pictures right after {card.seconds:.1f} s "
        f"of training. {course.verdict()}"
    )
    ready = gr.DownloadButton(value=str(file), interactive=True)
    curve = _curve(course)
    return [course, _status(words), curve, curve, course.filters(), _opinions(course), ready]


def _stop(course: Lesson | None) -> None:
    with parts.toast():
        if course is None:
            raise UserError("Nothing is being learnt. Press Start first.")
        course.stop()


def _status(words: str) -> str:
    return f"<p class='status' role='status'>{words}</p>"


def _opinions(course: Lesson) -> str:
    images, labels = course.watched()
    shares, guesses = course.opinions().max(1)
    pixels = images.permute(0, 2, 3, 1).squeeze(3).numpy()
    classes = datasets.named(course.run.recipe.dataset).classes
    tiles = [
        f"<figure class='{'right' if guess == label else 'wrong'}'>"
        f"<img src='{parts.inline(Image.fromarray(image))}' alt='{classes[label]}'>"
        f"<figcaption>{classes[guess]} <span>{100 * share:.0f} %</span></figcaption></figure>"
        for image, label, share, guess in zip(
            pixels, labels.tolist(), shares.tolist(), guesses.tolist(), strict=True
        )
    ]
    return f"<div class='opinions'>{''.join(tiles)}</div>"
