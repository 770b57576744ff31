"""The tab Draw: ten bars that follow the pen."""

import threading
from pathlib import Path

import gradio as gr

from cnn import UserError, checkpoints, handwriting, hardware
from cnn.checkpoints import Checkpoint
from cnn.page import parts
from cnn.prediction import predict
from cnn.preprocessing import digit_from_strokes

MARGIN = 0.14

Strokes = list[list[list[float]]]


def tab(folder: Path) -> None:
    """Add the tab, answering with the digit network that is the folder's default."""
    with gr.Tab("Draw", id="draw"):
        try:
            checkpoint = checkpoints.default(folder, "mnist")
        except UserError as error:
            parts.missing(error)
            return
        _pad(checkpoint)
        _endpoint(checkpoint)


def _pad(checkpoint: Checkpoint) -> None:
    turns = threading.BoundedSemaphore(hardware.cores())

    def look(drawing: Strokes) -> dict:
        try:
            image = digit_from_strokes(drawing)
        except UserError as error:
            return {"fault": str(error)}
        with turns:
            return parts.answer(predict(checkpoint, image), image)

    parts.answer_panel(
        checkpoint,
        before=parts.asset("pad.html"),
        script=parts.asset("pad.js"),
        css_template=parts.asset("pad.css"),
        server_functions=[look],
        specimens={digit: _specimen(int(digit)) for digit in checkpoint.card.classes},
        opening="3",
        invitation="Draw a digit. The answer follows your pen.",
        sees="Your strokes, fitted and centred as its training digits were.",
        museum="Each bar is the share of belief that the network gives to one digit, and it "
        "changes its mind while you write. Try a seven with a bar, a four left open at the top, "
        "or stop half way through an eight.",
    )


def _specimen(digit: int) -> Strokes:
    """One of our digits for the pad: in its unit square, with a margin all around."""
    return [
        [[round(MARGIN + (1 - 2 * MARGIN) * float(at), 4) for at in point] for point in stroke]
        for stroke in handwriting.specimen(digit)
    ]


def _endpoint(checkpoint: Checkpoint) -> None:
    def classify_digit(strokes: Strokes) -> dict[str, object]:
        with parts.toast():
            return parts.result(predict(checkpoint, digit_from_strokes(strokes)))

    gr.api(
        classify_digit,
        api_name="classify_digit",
        api_description="Say which digit was drawn. `strokes` is a list of strokes, a stroke a "
        "list of [x, y] points in any unit, y down. Returns `label`, its `probability`, "
        "`probabilities` by class (shares that sum to 1) and `verdict`: sure, unsure, "
        "unfamiliar (no digit, it seems) or empty.",
    )
