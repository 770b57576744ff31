"""The photo frame of the whole page, and the tab Photo around it."""

import time
from pathlib import Path

import gradio as gr
from gradio import FileData
from PIL.Image import Image

from cnn import UserError
from cnn.data.datasets import CIFAR10
from cnn.data.photos import VIEWED_SIDE, describe_photo, open_photo, views_from_photo
from cnn.evaluation.prediction import predict
from cnn.models.checkpoints import Checkpoint, ModelCard
from cnn.web import components
from cnn.web import subject as subjects
from cnn.web.session import VisitorSession, choices, chooser
from cnn.web.subject import Subject

NOT_SHOWN_BY_BROWSERS = {".tif", ".tiff", ".heic", ".heif"}
PREVIEW_SIDE = 920  # pixels: twice the frame's
QUEUE = {"concurrency_id": "photographs"}  # two at a time: drawings must find a core free


def dock(session: gr.State, subject: gr.State) -> gr.Image | None:
    """Add the frame with its prediction, shown by every tab that looks at a photograph."""
    template = session.template
    with gr.Column(elem_classes="input photo"):
        if not components.can_predict(template.bundled, CIFAR10.name):
            return None
        network = chooser(template, CIFAR10.name)
        checkpoint = template.checkpoint(CIFAR10.name)
        with gr.Row(elem_classes="columns"):
            with gr.Column(elem_classes="frame-column"):
                photo = _frame()
            panel = _panel(checkpoint.card)
        _connect(photo, panel, network, session, subject)
        _endpoint(checkpoint)
    return photo


def tab(session: gr.State, subject: gr.State) -> gr.Tab:
    """Add the tab: frame and prediction are in the dock, the first feature maps stand here."""
    with gr.Tab("Photo", id="photo") as shown:
        components.caption(
            "These ten classes are all that the network knows, from images of 32 x 32 pixels. Try "
            "a frog on a leaf, then something that is none of the ten, and see whether it says so."
        )
        maps = components.derived(
            "photo-maps", components.asset("maps.js") + components.asset("strip.js")
        )

    def follow(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
        version = components.event_version(event)
        if subject.is_empty or subject.dataset != CIFAR10.name:
            return ""
        checkpoint = session.checkpoint(CIFAR10.name)
        return components.feature_map_strip(checkpoint, subject.image, version)

    components.answer(maps.follow, "photo-maps", follow, [subject, session], maps)
    return shown


def _frame() -> gr.Image:
    photo = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "webcam"],
        show_label=False,
        label="Photograph",
        placeholder="Drop or paste a photograph here,\nor click to choose one",
        elem_classes="frame",
        height=460,
        buttons=[],
    )
    examples = subjects.example_photos()
    if examples:
        gr.Examples(
            [[str(path)] for path in examples],
            photo,
            label="Examples",
            examples_per_page=len(examples),
            elem_id="examples",
            api_visibility="private",
        )
    return photo


def _panel(card: ModelCard) -> gr.HTML:
    return components.prediction_panel(
        card,
        before="<p class='camera-note' role='status'></p>",
        script=components.asset("photo.js"),
        invitation="Choose, paste or take a photograph.",
        preprocessing="A photograph, shrunk to 32 x 32 pixels.",
        caption="",
        initial=subjects.INITIAL_PHOTO,
    )


def _predict(upload: dict | None, session: VisitorSession) -> tuple[dict | None, Subject | None]:
    """Return what the panel shows of an uploaded photograph, and the photograph as the subject.

    Of a file that cannot be read it shows the error.
    """
    if upload is None:
        return None, None
    try:
        opened = open_photo(subjects.uploaded_path(upload), VIEWED_SIDE)
    except UserError as error:
        return {"error": str(error)}, None
    start = time.perf_counter()
    views, checkpoint = views_from_photo(opened, CIFAR10), session.checkpoint(CIFAR10.name)
    note = describe_photo(opened, CIFAR10)
    message = components.prediction_message(
        checkpoint.card, predict(checkpoint, views), views, note
    )
    milliseconds = round(1000 * (time.perf_counter() - start))
    if Path(upload["path"]).suffix.lower() in NOT_SHOWN_BY_BROWSERS:
        message["preview"] = _preview(opened)
    message |= {"milliseconds": milliseconds, "network": session.chosen(CIFAR10.name)}
    return message, Subject(CIFAR10.name, views)


def _preview(photo: Image) -> str:
    """Return a photograph as a small JPEG in a data URL."""
    small = photo.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return components.inline(small, "JPEG")


def _connect(
    photo: gr.Image,
    panel: gr.HTML,
    network: gr.Dropdown,
    session: gr.State,
    subject: gr.State,
) -> None:
    refused = gr.State(None)  # what is said of the file that emptied the frame

    def look(
        upload: dict | None, session: VisitorSession, current: Subject, refused: dict | None
    ) -> tuple:
        message, shown = _predict(upload, session)
        if shown is None and current.strokes is None:
            shown = subjects.empty_subject(CIFAR10.name)
        if message and "error" in message:
            return message, shown or gr.skip(), message, None
        if message is None:
            return refused, shown or gr.skip(), refused, gr.skip()
        return message, shown, None, gr.skip()

    def choose(
        upload: dict | None,
        session: VisitorSession,
        current: Subject,
        refused: dict | None,
        name: str,
    ) -> tuple:
        with components.toast():
            session.choose(str(name))
        return look(upload, session, current, refused)

    def load(
        upload: dict | None, session: VisitorSession, current: Subject, refused: dict | None
    ) -> tuple:
        return choices(session, CIFAR10.name), *look(upload, session, current, refused)

    inputs, outputs = [photo, session, subject, refused], [panel, subject, refused, photo]
    events = {"preprocess": False, "js": components.CHANGED, **QUEUE, **components.HIDDEN_ENDPOINT}
    shown = photo.change(look, inputs, outputs, trigger_mode="always_last", **events)
    chosen = network.input(choose, [*inputs, network], outputs, **events)
    loaded = panel.refresh(load, inputs, [network, *outputs], **events)
    for done in (shown, chosen, loaded):
        done.then(None, js=components.SETTLED, **components.HIDDEN_ENDPOINT)


def _endpoint(checkpoint: Checkpoint) -> None:
    def classify_photo(photo: FileData) -> dict[str, object]:
        with components.toast():
            views = subjects.from_photo(subjects.uploaded_path(photo)).views
            return components.prediction_result(predict(checkpoint, views))

    gr.api(
        classify_photo,
        api_name="classify_photo",
        **QUEUE,
        api_description="Say what a photograph shows, among the ten classes of CIFAR-10. "
        "`photo` is an image file (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, under 10 MB). "
        "Returns `label`, its `probability`, `probabilities` by class, which sum to 1, "
        "and `verdict`: confident, uncertain or out_of_distribution (none of the ten, it seems).",
    )
