"""The tab Photo: what a small network makes of a photograph."""

import gradio as gr
from gradio import FileData
from torch import Tensor

from cnn.data.datasets import CIFAR10
from cnn.data.photos import describe_photo, open_photo, views_from_photo
from cnn.evaluation.prediction import predict
from cnn.models.checkpoints import Checkpoint, ModelCard
from cnn.web import components
from cnn.web.session import VisitorSession, choices, chooser

EXAMPLES = components.ASSETS / "examples"
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
IN_LINE = {"concurrency_id": "photographs"}  # two at a time: drawings are to find a core free


def tab(visit: gr.State, subject: gr.State) -> None:
    """Add the tab, answering with the network for photographs that the visitor has chosen."""
    with gr.Tab("Photo", id="photo") as shown:
        anybody = visit.value
        if not components.can_answer(anybody.shipped, CIFAR10.name):
            return
        network = chooser(anybody, CIFAR10.name)
        checkpoint = anybody.checkpoint(CIFAR10.name)
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="stand"):
                photo = _frame()
            answer = _panel(checkpoint.card)
        _answer_to([photo, visit], answer, subject)
        _choose(network, [photo, visit], answer, shown)
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


def _panel(card: ModelCard) -> gr.HTML:
    return components.answer_panel(
        card,
        script=components.asset("photo.js"),
        invitation="Choose, paste or take a photograph.",
        sees="A photograph, shrunk to 32 x 32 pixels.",
        museum="These ten things are all the network knows, and it knows them from pictures no "
        "larger than the one it sees here. Try a frog on a leaf, then something that is none of "
        "the ten, and see whether it says so.",
    )


def _seen(upload: dict | None, visit: VisitorSession) -> tuple[dict | None, Tensor | None]:
    """What the panel shows of an uploaded photograph, and the views that the network got."""
    if upload is None:
        return None, None
    with components.toast():
        opened = open_photo(components.uploaded(upload))
    views, checkpoint = views_from_photo(opened, CIFAR10), visit.checkpoint(CIFAR10.name)
    note = describe_photo(opened, CIFAR10)
    return components.answer(checkpoint.card, predict(checkpoint, views), views, note), views


def _answer_to(asked: list, answer: gr.HTML, subject: gr.State) -> None:
    def look(upload: dict | None, visit: VisitorSession) -> tuple:
        shown, views = _seen(upload, visit)
        return shown, gr.skip() if views is None else components.Subject(CIFAR10.name, views)

    photo = asked[0]
    shown = photo.change(
        look,
        asked,
        [answer, subject],
        preprocess=False,
        trigger_mode="always_last",
        **IN_LINE,
        **components.HIDDEN_ENDPOINT,
    )
    shown.failure(lambda: None, None, photo, **components.HIDDEN_ENDPOINT)


def _choose(network: gr.Dropdown, asked: list, answer: gr.HTML, shown: gr.Tab) -> None:
    def choose(upload: dict | None, visit: VisitorSession, name: str) -> dict | None:
        with components.toast():
            visit.choose(name)
        return _seen(upload, visit)[0]

    def look(upload: dict | None, visit: VisitorSession) -> tuple:
        return choices(visit, CIFAR10.name), _seen(upload, visit)[0]

    network.input(
        choose, [*asked, network], answer, preprocess=False, **IN_LINE, **components.HIDDEN_ENDPOINT
    )
    shown.select(
        look, asked, [network, answer], preprocess=False, **IN_LINE, **components.HIDDEN_ENDPOINT
    )


def _endpoint(checkpoint: Checkpoint) -> None:
    def classify_photo(photo: FileData) -> dict[str, object]:
        with components.toast():
            views = views_from_photo(open_photo(components.uploaded(photo)), CIFAR10)
            return components.result(predict(checkpoint, views))

    gr.api(
        classify_photo,
        api_name="classify_photo",
        **IN_LINE,
        api_description="Say what a photograph shows, among the ten classes of CIFAR-10. "
        "`photo` is an image file (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, under 10 MB). "
        "Returns `label`, its `probability`, `probabilities` by class (shares that sum to 1) "
        "and `verdict`: sure, unsure or unfamiliar (none of the ten, it seems).",
    )
