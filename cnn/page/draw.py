"""The tab Draw: ten bars that follow the pen."""

import threading
from pathlib import Path

import gradio as gr

from cnn import UserError, checkpoints, hardware, visualization
from cnn.checkpoints import Checkpoint
from cnn.page import parts
from cnn.prediction import predict
from cnn.preprocessing import digit_from_strokes


def tab(folder: Path, subject: gr.State) -> None:
    """Add the tab, answering with the digit network that is the folder's default."""
    with gr.Tab("Draw", id="draw"):
        try:
            checkpoint = checkpoints.default(folder, "mnist")
        except UserError as error:
            parts.missing(error)
            return
        pad = _pad(checkpoint)
        strip = gr.HTML(_strip(checkpoint, parts.opening()), apply_default_css=False)
        _settle(pad, subject, strip, checkpoint)
        _endpoint(checkpoint)


def _pad(checkpoint: Checkpoint) -> gr.HTML:
    turns = threading.BoundedSemaphore(hardware.cores())

    def look(drawing: parts.Strokes) -> dict:
        try:
            image = digit_from_strokes(drawing)
        except UserError as error:
            return {"fault": str(error)}
        with turns:
            return parts.answer(predict(checkpoint, image), image)

    return parts.answer_panel(
        checkpoint,
        before=parts.asset("pad.html"),
        script=parts.asset("pad.js"),
        css_template=parts.asset("pad.css"),
        server_functions=[look],
        specimens={digit: parts.specimen(int(digit)) for digit in checkpoint.card.classes},
        opening=str(parts.OPENING),
        invitation="Draw a digit. The answer follows your pen.",
        sees="Your strokes, fitted and centred as its training digits were.",
        museum="Each bar is the share of belief that the network gives to one digit, and it "
        "changes its mind while you write. Try a seven with a bar, a four left open at the top, "
        "or stop half way through an eight.",
    )


def _settle(pad: gr.HTML, subject: gr.State, strip: gr.HTML, checkpoint: Checkpoint) -> None:
    def settle(drawing: parts.Strokes) -> tuple[parts.Subject, str]:
        with parts.toast():
            drawn = parts.drawing(drawing)
        return drawn, _strip(checkpoint, drawn)

    pad.stroke_end(
        settle,
        pad,
        [subject, strip],
        queue=False,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )


def _strip(checkpoint: Checkpoint, drawn: parts.Subject) -> str:
    """The first maps of each activation, in rows side by side, as HTML."""
    rows = visualization.first_maps(checkpoint.network, drawn.image)
    figures = (
        f"<figure><img src='{parts.inline(row)}' alt='The first maps after {stage}'>"
        f"<figcaption>{stage}</figcaption></figure>"
        for stage, row in rows.items()
    )
    return f"<div class='strip'>{''.join(figures)}</div>"


def _endpoint(checkpoint: Checkpoint) -> None:
    def classify_digit(strokes: parts.Strokes) -> dict[str, object]:
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
