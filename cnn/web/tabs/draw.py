"""The pad of the whole page, and the tab Draw around it: ten bars that follow the pen."""

import base64
from weakref import WeakKeyDictionary

import anyio.to_thread
import gradio as gr
from torch import nn

from cnn import UserError, settings
from cnn.data.datasets import MNIST
from cnn.data.drawings import digit_from_strokes
from cnn.data.strokes import count_digits
from cnn.evaluation.prediction import predict
from cnn.jobs.queue import JobQueue
from cnn.models.checkpoints import Checkpoint
from cnn.models.web import to_web, worker_script
from cnn.web import components
from cnn.web import subject as subjects
from cnn.web.components import LATEST
from cnn.web.session import VisitorSession, choices, chooser
from cnn.web.subject import Strokes, Subject
from cnn.web.tabs import draw_examples, draw_sheet

SCRIPTS = ("browser_inference.js", "pad.js", "pad_prediction.js", "pad_pen.js", "pad_page.js")


def dock(session: gr.State, subject: gr.State) -> tuple[gr.HTML, gr.HTML] | None:
    """Add the pad and the photograph of digits, each with its prediction, for every tab."""
    template = session.template
    with gr.Column(elem_classes="input strokes"):
        if not components.can_predict(template.bundled, MNIST.name):
            return None
        network = chooser(template, MNIST.name)
        pad = _pad(template)
        _connect(pad, network, session, subject)
        sheet = draw_sheet.view(session, subject)
        _endpoint(template.checkpoint(MNIST.name))
    return pad, sheet


def tab(
    session: gr.State,
    subject: gr.State,
    inputs: tuple[gr.HTML, gr.HTML] | None,
    keeper: gr.HTML,
    queue: JobQueue,
) -> gr.Tab:
    """Add the tab: the pad is in the dock, its first feature maps stand here."""
    with gr.Tab("Draw", id="draw") as shown:
        if inputs is None:
            return shown
        pad, sheet = inputs
        draw_examples.view(session, pad, keeper, queue)
        checkpoint = session.template.checkpoint(MNIST.name)
        strip = gr.HTML(
            components.feature_map_strip(checkpoint, subjects.initial_subject().image),
            js_on_load=components.asset("maps.js") + components.asset("strip.js"),
            apply_default_css=False,
        )

        def show_maps(drawing: Strokes, session: VisitorSession) -> str:
            with components.toast():
                image = subjects.from_strokes(drawing).image
            return components.feature_map_strip(session.checkpoint(MNIST.name), image)

        def show_sheet_maps(subject: Subject, session: VisitorSession) -> str:
            return components.feature_map_strip(session.checkpoint(MNIST.name), subject.image)

        pad.show_maps(show_maps, [pad, session], strip, queue=False, **LATEST)
        sheet.show_maps(show_sheet_maps, [subject, session], strip, **LATEST)
    return shown


def _pad(template: VisitorSession) -> gr.HTML:
    return components.prediction_panel(
        template.checkpoint(MNIST.name).card,
        before=components.render("pad.html", photographs=True),
        script="".join(map(components.asset, SCRIPTS)),
        css_template=components.asset("pad.css"),
        elem_classes="pad-panel",
        server_functions=[_web_models(template)],
        browser_inference=settings.browser_inference(),
        examples={digit: subjects.example_digit(int(digit)) for digit in MNIST.classes},
        network=_network_key(template),
        token=None,
        found=None,
        initial=str(subjects.INITIAL_DIGIT),
        invitation="Draw a digit. The prediction follows your pen.",
        preprocessing="Your strokes, scaled and centred as the training digits were.",
        caption="Each bar is the probability that the network gives to one digit; it changes "
        "while you write. Try a seven with a bar, a four left open at the top, or stop half way "
        "through an eight.",
    )


def _web_models(template: VisitorSession):
    """Make the function with which a browser fetches the network that it predicts with."""
    files: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()

    def convert(token: object) -> dict:
        session = template.by_token(token)
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


def _connect(pad: gr.HTML, network: gr.Dropdown, session: gr.State, subject: gr.State) -> None:
    """Make the finished drawing the subject, and let the visitor choose who predicts it."""

    def settle(drawing: Strokes, event: gr.EventData) -> tuple:
        with components.toast():
            drawn = subjects.from_strokes(drawing)
        found = {"version": components.event_version(event), "digits": count_digits(drawing or [])}
        return drawn, gr.update(found=found)

    def choose(session: VisitorSession, name: str) -> tuple:
        with components.toast():
            session.choose(name)
        return load(session)

    def load(session: VisitorSession) -> tuple:
        state = gr.update(token=session.token, network=_network_key(session))
        return choices(session, MNIST.name), state

    components.answer(pad.stroke_end, "stroke_end", settle, pad, [subject, pad], queue=False)
    outputs = [network, pad]
    chosen = network.input(
        choose, [session, network], outputs, js=components.CHANGED, **components.HIDDEN_ENDPOINT
    )
    chosen.failure(None, js=components.SETTLED, **components.HIDDEN_ENDPOINT)
    pad.refresh(load, session, outputs, queue=False, **components.HIDDEN_ENDPOINT)


def _network_key(session: VisitorSession) -> list:
    """Tell networks apart: two of a visitor's own may have one name."""
    return [session.chosen(MNIST.name), session.checkpoint(MNIST.name).card.train_seconds]


def _endpoint(checkpoint: Checkpoint) -> None:
    def classify_digit(strokes: Strokes) -> dict[str, object]:
        with components.toast():
            return components.prediction_result(predict(checkpoint, digit_from_strokes(strokes)))

    gr.api(
        classify_digit,
        api_name="classify_digit",
        api_description="Say which digit was drawn. `strokes` is a list of strokes, a stroke a "
        "list of [x, y] points in any unit, y down. Returns `label`, its `probability`, "
        "`probabilities` by class, which sum to 1, and `verdict`: confident, uncertain, "
        "out_of_distribution (no digit, it seems) or blank.",
    )
