"""The tab Draw: ten bars that follow the pen."""

import base64
from weakref import WeakKeyDictionary

import anyio.to_thread
import gradio as gr
from torch import nn

from cnn import UserError, hardware, settings
from cnn.data.datasets import MNIST
from cnn.data.drawings import digit_from_strokes
from cnn.evaluation.prediction import predict
from cnn.models.checkpoints import Checkpoint
from cnn.models.web import to_web, worker_script
from cnn.plots import grids
from cnn.web import components
from cnn.web.session import VisitorSession, choices, chooser

MAPS = 8  # of each activation, in the strip below the pad
MOST_WAITING = 16  # questions; with more than these only finished strokes are answered


def tab(visit: gr.State, subject: gr.State) -> None:
    """Add the tab, answering with the network for digits that the visitor has chosen."""
    with gr.Tab("Draw", id="draw") as shown:
        anybody = visit.value
        if not components.can_answer(anybody.shipped, MNIST.name):
            return
        network = chooser(anybody, MNIST.name)
        pad = _pad(anybody)
        strip = gr.HTML(
            _strip(anybody.checkpoint(MNIST.name), components.initial_example()),
            js_on_load=components.asset("maps.js"),
            apply_default_css=False,
        )
        _settle(pad, visit, subject, strip)
        _choose(network, visit, pad, shown)
        _endpoint(anybody.checkpoint(MNIST.name))


def _pad(anybody: VisitorSession) -> gr.HTML:
    turns = anyio.CapacityLimiter(hardware.cpu_count())

    def answer(question: object) -> dict:
        try:
            token, drawing = question["visit"], question["strokes"]
            image = digit_from_strokes(drawing)
        except (TypeError, KeyError):
            return {"fault": "That is no drawing."}
        except UserError as error:
            return {"fault": str(error)}
        checkpoint = anybody.of(token).checkpoint(MNIST.name)
        return components.answer(checkpoint.card, predict(checkpoint, image), image)

    async def look(question: object) -> dict:
        lifted = isinstance(question, dict) and question.get("lifted")
        if not lifted and turns.statistics().tasks_waiting >= MOST_WAITING:
            return {"busy": True}
        return await anyio.to_thread.run_sync(answer, question, limiter=turns)

    return components.answer_panel(
        anybody.checkpoint(MNIST.name).card,
        before=components.asset("pad.html"),
        script=components.asset("browser_inference.js") + components.asset("pad.js"),
        css_template=components.asset("pad.css"),
        server_functions=[look, _web_models(anybody)],
        browser_inference=settings.browser_inference(),
        specimens={digit: components.sample_image(int(digit)) for digit in MNIST.classes},
        network=_answering(anybody),
        token=None,
        opening=str(components.OPENING),
        invitation="Draw a digit. The answer follows your pen.",
        sees="Your strokes, fitted and centred as its training digits were.",
        museum="Each bar is the share of belief that the network gives to one digit, and it "
        "changes its mind while you write. Try a seven with a bar, a four left open at the top, "
        "or stop half way through an eight.",
    )


def _web_models(anybody: VisitorSession):
    """The function with which a visitor's browser fetches the network that it predicts with."""
    files: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()

    def convert(token: object) -> dict:
        session = anybody.of(token)
        checkpoint = session.checkpoint(MNIST.name)
        if checkpoint.network not in files:
            file = to_web(checkpoint, session.chosen(MNIST.name))
            files[checkpoint.network] = base64.b64encode(file).decode()
        return {
            "script": worker_script(),
            "file": files[checkpoint.network],
            "source": components.describe_network(checkpoint.card),
        }

    async def web_model(token: object) -> dict:
        if not settings.browser_inference():
            return {"error": "Browsers do not predict here."}
        try:
            return await anyio.to_thread.run_sync(convert, token)
        except UserError as error:
            return {"error": str(error)}

    return web_model


def _settle(pad: gr.HTML, visit: gr.State, subject: gr.State, strip: gr.HTML) -> None:
    def settle(drawing: components.Strokes) -> components.Subject:
        with components.toast():
            return components.drawing(drawing)

    def show_maps(drawing: components.Strokes, visit: VisitorSession) -> str:
        with components.toast():
            return _strip(visit.checkpoint(MNIST.name), components.drawing(drawing))

    latest = {"queue": False, "trigger_mode": "always_last", **components.HIDDEN_ENDPOINT}
    pad.stroke_end(settle, pad, subject, **latest)
    pad.show_maps(show_maps, [pad, visit], strip, **latest)


def _choose(network: gr.Dropdown, visit: gr.State, pad: gr.HTML, shown: gr.Tab) -> None:
    """Tell the pad who asks, and that it must ask again when another network is chosen."""

    def choose(visit: VisitorSession, name: str) -> tuple:
        with components.toast():
            visit.choose(name)
        return look(visit)

    def look(visit: VisitorSession) -> tuple:
        now = gr.update(token=visit.token, network=_answering(visit))
        return visit, choices(visit, MNIST.name), now

    outputs = [visit, network, pad]
    network.input(choose, [visit, network], outputs, **components.HIDDEN_ENDPOINT)
    for arrived in (pad.arrive, shown.select):
        arrived(look, visit, outputs, queue=False, **components.HIDDEN_ENDPOINT)


def _answering(visit: VisitorSession) -> list:
    """What differs between networks: two of a visitor's own may have one name."""
    return [visit.chosen(MNIST.name), visit.checkpoint(MNIST.name).card.seconds]


def _strip(checkpoint: Checkpoint, drawn: components.Subject) -> str:
    """The first maps of each activation, in rows side by side, as HTML."""
    rows = grids.first_maps(checkpoint.network, drawn.image, MAPS)
    figures = (
        f"<figure><img src='{components.inline(row)}' alt='The first maps after {stage}'>"
        f"<figcaption>{stage}</figcaption></figure>"
        for stage, row in rows.items()
    )
    return f"<div class='strip' data-maps='{MAPS}'>{''.join(figures)}</div>"


def _endpoint(checkpoint: Checkpoint) -> None:
    def classify_digit(strokes: components.Strokes) -> dict[str, object]:
        with components.toast():
            return components.result(predict(checkpoint, digit_from_strokes(strokes)))

    gr.api(
        classify_digit,
        api_name="classify_digit",
        api_description="Say which digit was drawn. `strokes` is a list of strokes, a stroke a "
        "list of [x, y] points in any unit, y down. Returns `label`, its `probability`, "
        "`probabilities` by class (shares that sum to 1) and `verdict`: sure, unsure, "
        "unfamiliar (no digit, it seems) or empty.",
    )
