"""The tab Photo: what a small network makes of a photograph."""

from pathlib import Path

import gradio as gr
from gradio import FileData

from cnn import UserError, checkpoints
from cnn.checkpoints import Checkpoint
from cnn.datasets import CIFAR10
from cnn.page import parts
from cnn.prediction import predict
from cnn.preprocessing import describe_photo, open_photo, views_from_photo

EXAMPLES = parts.ASSETS / "examples"
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def tab(folder: Path, subject: gr.State) -> None:
    """Add the tab, answering with the photograph network that is the folder's default."""
    with gr.Tab("Photo", id="photo"):
        try:
            checkpoint = checkpoints.default(folder, CIFAR10.name)
        except UserError as error:
            parts.missing(error)
            return
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="stand"):
                photo = _frame()
            answer = _panel(checkpoint)
        _answer_to(photo, answer, checkpoint, subject)
        _endpoint(checkpoint)


def _frame() -> gr.Image:
    photo = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "webcam", "clipboard"],
        show_label=False,
        label="Photograph",
        placeholder="Drop or paste a photograph here,\nor click to choose one",
        elem_classes="frame",
        height=460,
        buttons=[],
    )
    examples = sorted(path for path in EXAMPLES.glob("*") if path.suffix.lower() in PICTURES)
    if examples:
        gr.Examples(
            [[str(path)] for path in examples],
            photo,
            label="try one of ours",
            examples_per_page=len(examples),
            elem_id="examples",
            api_visibility="private",
        )
    return photo


def _panel(checkpoint: Checkpoint) -> gr.HTML:
    return parts.answer_panel(
        checkpoint,
        script=parts.asset("photo.js"),
        invitation="Choose, paste or take a photograph.",
        sees="A photograph, made 32 x 32 pixels small.",
        museum="These ten things are all the network knows, and it knows them from pictures no "
        "larger than the one it sees here. Try a frog on a leaf, then something that is none of "
        "the ten, and see whether it says so.",
    )


def _answer_to(photo: gr.Image, answer: gr.HTML, checkpoint: Checkpoint, subject: gr.State) -> None:
    def look(upload: dict | None) -> tuple:
        if upload is None:
            return None, gr.skip()
        with parts.toast():
            opened = open_photo(upload["path"])
        views = views_from_photo(opened, CIFAR10)
        note = describe_photo(opened, CIFAR10)
        shown = parts.answer(predict(checkpoint, views), views, note)
        return shown, parts.Subject(CIFAR10.name, views)

    shown = photo.change(
        look,
        photo,
        [answer, subject],
        preprocess=False,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
    shown.failure(lambda: None, None, photo, api_visibility="private", show_progress="hidden")


def _endpoint(checkpoint: Checkpoint) -> None:
    def classify_photo(photo: FileData) -> dict[str, object]:
        with parts.toast():
            views = views_from_photo(open_photo(photo["path"]), CIFAR10)
            return parts.result(predict(checkpoint, views))

    gr.api(
        classify_photo,
        api_name="classify_photo",
        api_description="Say what a photograph shows, among the ten classes of CIFAR-10. "
        "`photo` is an image file (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, under 10 MB). "
        "Returns `label`, its `probability`, `probabilities` by class (shares that sum to 1) "
        "and `verdict`: sure, unsure or unfamiliar (none of the ten, it seems).",
    )
