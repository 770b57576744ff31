"""In the tab Draw: a photograph of handwritten digits, each found, predicted and offered."""

from contextlib import suppress
from dataclasses import dataclass

import gradio as gr
import torch
from PIL.Image import Image

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
DELETED = "The photograph is no longer on the server. Choose it again."


@dataclass(frozen=True)
class Sheet:
    """The path of an uploaded photograph, and the digits found in it.

    The photograph itself is read again where it is shown: its file is deleted within the hour.
    """

    path: str = ""
    digits: tuple[Digit, ...] = ()
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
        sheet, photo = _read(event._data)
        return _message(sheet, photo, session, event), sheet

    def predict_again(sheet: Sheet, session: VisitorSession, event: gr.EventData) -> dict:
        photo = None
        with suppress(UserError):
            photo = open_photo(sheet.path) if sheet.path else None
        if sheet.path and not photo:
            sheet = Sheet(error=DELETED)
        return _message(sheet, photo, session, event)

    def choose(sheet: Sheet, event: gr.EventData) -> Subject:
        index = components.event_field(event, "index")
        if isinstance(index, int) and 0 <= index < len(sheet.digits):
            return Subject(MNIST.name, sheet.digits[index].image)
        return subjects.empty_subject(MNIST.name)

    components.answer(view.photograph, "photograph", read, session, [view, sheet], **QUEUE)
    inputs = [sheet, session]
    components.answer(view.predict_again, "predict_again", predict_again, inputs, view, **QUEUE)
    # past the queue, as the pad's own drawing is, so that the input shown last is the subject
    chosen = components.answer(view.choose, "choose", choose, sheet, subject, queue=False)
    chosen.then(None, js=components.SETTLED, **components.HIDDEN_ENDPOINT)
    return view


def _read(upload: object) -> tuple[Sheet, Image | None]:
    path, photo = "", None
    try:
        path = subjects.uploaded_path(upload)
        photo = open_photo(path)
        digits = tuple(find_digits(photo))
    except UserError as error:
        return Sheet(path if photo else "", error=str(error)), photo
    return Sheet(path, digits, "" if digits else NOTHING), photo


def _message(
    sheet: Sheet, photo: Image | None, session: VisitorSession, event: gr.EventData
) -> dict:
    return {
        "source": components.inline(photo, "JPEG") if photo else "",
        "digits": _predictions(sheet.digits, photo, session.checkpoint(MNIST.name)),
        "error": sheet.error,
        "version": components.event_version(event),
    }


def _predictions(
    digits: tuple[Digit, ...], photo: Image | None, checkpoint: Checkpoint
) -> list[dict]:
    """Return each digit's box in percent of the photograph, and its prediction."""
    if not digits:
        return []
    images = torch.cat([digit.image for digit in digits])
    predictions = predict_batch(checkpoint, images)
    return [
        {
            "box": _percent_box(digit, photo),
            "prediction": components.prediction_message(checkpoint.card, prediction, digit.image),
        }
        for digit, prediction in zip(digits, predictions, strict=True)
    ]


def _percent_box(digit: Digit, photo: Image) -> list[float]:
    """Return left, top, width and height of a digit's box in percent of the photograph."""
    left, top, right, bottom = digit.box
    x, y = 100 / photo.width, 100 / photo.height
    return [left * x, top * y, (right - left) * x, (bottom - top) * y]
