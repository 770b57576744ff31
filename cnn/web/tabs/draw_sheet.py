"""In the tab Draw: a photograph of handwritten digits, each found, predicted and offered."""

from dataclasses import dataclass

import gradio as gr
import torch
from PIL.Image import Image
from torch import Tensor

from cnn import UserError
from cnn.data.datasets import MNIST
from cnn.data.paper import Digit, find_digits
from cnn.data.photos import open_photo
from cnn.evaluation.prediction import predict_batch
from cnn.models.checkpoints import Checkpoint
from cnn.web import components
from cnn.web import subject as subjects
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject

QUEUE = {"concurrency_id": "photographs"}
NOTHING = (
    "There is nothing to see in this photograph. Write a digit with a dark pen on light paper, "
    "and photograph it from near."
)


@dataclass(frozen=True)
class Sheet:
    """The digits found in a photograph, and their boxes in percent of it: x, y, width, height.

    `error` says why there are none. The photograph itself stays in the browser.
    """

    images: tuple[Tensor, ...] = ()
    boxes: tuple[list[float], ...] = ()
    error: str = ""


def view(session: gr.State, subject: gr.State) -> gr.HTML:
    """Add the photograph with a box per digit, shown in place of the pad."""
    view = components.prediction_panel(
        session.template.checkpoint(MNIST.name).card,
        before=components.asset("sheet.html"),
        script=components.asset("sheet.js"),
        css_template=components.asset("sheet.css"),
        elem_classes="sheet-panel",
        invitation="Choose a photograph of handwritten digits.",
        preprocessing="The ink in its box, scaled and centred as the training digits were.",
        caption="Each box is a digit that was found, with its predicted class; press one to look "
        "at it in every tab. A dashed box is uncertain, a dotted one probably no digit.",
    )
    sheet = gr.State(Sheet())

    def read(session: VisitorSession, event: gr.EventData) -> tuple[dict, Sheet]:
        source, sheet = _read(event._data)
        return _message(sheet, session, event) | {"source": source}, sheet

    def predict_again(sheet: Sheet, session: VisitorSession, event: gr.EventData) -> dict:
        return _message(sheet, session, event)

    def choose(sheet: Sheet, event: gr.EventData) -> Subject:
        index = components.event_field(event, "index")
        if isinstance(index, int) and 0 <= index < len(sheet.images):
            return Subject(MNIST.name, sheet.images[index])
        return subjects.empty_subject(MNIST.name)

    components.answer(view.photograph, "photograph", read, session, [view, sheet], **QUEUE)
    inputs = [sheet, session]
    components.answer(view.predict_again, "predict_again", predict_again, inputs, view, **QUEUE)
    # past the queue, as the pad's own drawing is, so that the input shown last is the subject
    chosen = components.answer(view.choose, "choose", choose, sheet, subject, queue=False)
    chosen.then(None, js=components.SETTLED, **components.HIDDEN_ENDPOINT)
    return view


def _read(upload: object) -> tuple[str, Sheet]:
    """Return an uploaded photograph as a data URL, empty if it cannot be read, and its digits."""
    source = ""
    try:
        photo = open_photo(subjects.uploaded_path(upload))
        source = components.inline(photo, "JPEG")
        digits = find_digits(photo)
    except UserError as error:
        return source, Sheet(error=str(error))
    images = tuple(digit.image for digit in digits)
    boxes = tuple(_percent_box(digit, photo) for digit in digits)
    return source, Sheet(images, boxes, "" if digits else NOTHING)


def _message(sheet: Sheet, session: VisitorSession, event: gr.EventData) -> dict:
    return {
        "digits": _predictions(sheet, session.checkpoint(MNIST.name)),
        "error": sheet.error,
        "version": components.event_version(event),
    }


def _predictions(sheet: Sheet, checkpoint: Checkpoint) -> list[dict]:
    """Return each digit's box and prediction."""
    if not sheet.images:
        return []
    predictions = predict_batch(checkpoint, torch.cat(sheet.images))
    return [
        {
            "box": box,
            "prediction": components.prediction_message(checkpoint.card, prediction, image),
        }
        for box, image, prediction in zip(sheet.boxes, sheet.images, predictions, strict=True)
    ]


def _percent_box(digit: Digit, photo: Image) -> list[float]:
    left, top, right, bottom = digit.box
    x, y = 100 / photo.width, 100 / photo.height
    return [left * x, top * y, (right - left) * x, (bottom - top) * y]
