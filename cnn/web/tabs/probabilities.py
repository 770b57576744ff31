"""The tab Probabilities: every model's prediction, softmax step by step, why digits are centred."""

import math

import gradio as gr
from gradio import FileData

from cnn import UserError
from cnn.data import datasets
from cnn.evaluation import prediction as predictions
from cnn.evaluation.prediction import CONFIDENT, ENSEMBLE, predict
from cnn.interpret.arithmetic import centering, softmax
from cnn.models.checkpoints import Checkpoint, ModelRegistry
from cnn.plots import charts, grids
from cnn.web import components
from cnn.web import subject as subjects
from cnn.web.components import LATEST
from cnn.web.session import VisitorSession
from cnn.web.subject import Strokes, Subject

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
PREDICTIONS = (
    "A row per model, its probability for each class; the last row is the mean of all. Show "
    "something doubtful and see where they differ. Press a row to let its model predict everywhere."
)
SOFTMAX = (
    "The network returns one number per class, its logits; softmax turns them into probabilities. "
    "A high temperature evens them out, a low one leaves all to the largest."
)
CENTERING = (
    "MNIST's digits were scaled into 20 x 20 pixels and centred by their mass, and so must yours "
    "be. Draw small and in a corner, and compare the predictions with and without."
)
STEPS = ("as drawn, on 28 x 28", "scaled into 20 x 20", "its centre of mass", "moved to the middle")
VERDICTS = {
    "blank": "There is nothing in the image, so all classes get the same probability.",
    "confident": "The calibrated probability of the best class is "
    f"{100 * CONFIDENT:.0f} % or more.",
    "uncertain": f"No class reaches a calibrated probability of {100 * CONFIDENT:.0f} %.",
    "out_of_distribution": "The score of its logits is lower than for 95 % of the validation "
    "images, so it probably shows none of the classes, however high the probabilities are.",
}


def tab(session: gr.State, subject: gr.State) -> None:
    """Add the tab, asking the networks about the visitor's subject."""
    with gr.Tab("Probabilities", id="probabilities", elem_classes="inside"):
        bundled = session.template.bundled
        if not components.can_predict(bundled, "mnist"):
            return
        components.heading("Predictions of every model", PREDICTIONS)
        table = components.derived("predictions", components.asset("probabilities.js"))
        _softmax(session, subject)
        _centering(session, subject)
        _endpoint(bundled)

    def press(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
        with components.toast():
            session.choose(str(components.event_field(event, "value")))
        return _predictions(subject, session, event)

    inputs = [subject, session]
    components.answer(table.follow, "predictions", _predictions, inputs, table)
    pressed = table.select(press, inputs, table, **components.HIDDEN_ENDPOINT)
    pressed.then(None, js=components.NETWORK_CHOSEN)


def _predictions(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    version = components.event_version(event)
    if subject.is_empty:
        return components.render("empty.html", version=version)
    checkpoint = session.checkpoint(subject.dataset)
    rows = predictions.compare_models(session.all(subject.dataset), subject.views)
    return _table(rows, checkpoint.card.classes, version, session.chosen(subject.dataset))


def _table(
    rows: dict[str, tuple[float, ...]],
    classes: tuple[str, ...],
    version: int,
    chosen: str | None = None,
) -> str:
    """Return networks x classes as a table, each probability on its colour, as HTML."""
    return components.render(
        "probabilities.html",
        version=version,
        classes=classes,
        chosen=chosen,
        rows=rows,
        ensemble=ENSEMBLE,
    ) + components.download_link(charts.heat_map(rows, classes), "probabilities")


def _softmax(session: gr.State, subject: gr.State) -> None:
    components.heading("Softmax, step by step", SOFTMAX)
    with gr.Row(elem_classes="controls"):
        temperature = gr.Slider(
            MIN_TEMPERATURE, MAX_TEMPERATURE, 1.0, step=0.01, label="Temperature"
        )
    script = "details = () => ({ temperature: cnn.parameter('temperature') });"
    steps = components.derived("softmax", script)

    def follow(subject: Subject, session: VisitorSession, event: gr.EventData) -> tuple:
        checkpoint = session.checkpoint(subject.dataset)
        given = _parse(components.event_field(event, "temperature"))
        chosen = given or round(checkpoint.card.temperature, 2)
        return chosen, _steps(checkpoint, subject, chosen, components.event_version(event))

    def heat(subject: Subject, session: VisitorSession, temperature: float, version: int) -> str:
        with components.toast():
            return _steps(
                session.checkpoint(subject.dataset), subject, _checked(temperature), version
            )

    inputs = [subject, session]
    version = gr.Number(0, visible=False)
    components.answer(steps.follow, "softmax", follow, inputs, [temperature, steps])
    temperature.input(
        heat,
        [*inputs, temperature, version],
        steps,
        js="(subject, session, temperature) => { cnn.setAddress({ temperature }, false); "
        "return [subject, session, temperature, cnn.version]; }",
        **LATEST,
    )


def _parse(text: object) -> float | None:
    """Read a temperature from the address; None where it holds none that is allowed."""
    try:
        return _checked(float(str(text)[:8]))
    except (ValueError, UserError):
        return None


def _checked(temperature: float) -> float:
    if not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
        raise UserError(f"A temperature of {temperature} is out of range. Choose from 0.1 to 10.")
    return temperature


def _steps(checkpoint: Checkpoint, subject: Subject, temperature: float, version: int) -> str:
    if subject.is_empty:
        return components.render("empty.html", version=version)
    logits = tuple(predictions.logits(checkpoint, subject.views).tolist())
    found = softmax(logits, temperature)
    verdict = predict(checkpoint, subject.views).verdict
    return components.render(
        "softmax.html",
        version=version,
        classes=checkpoint.card.classes,
        rows=list(zip(logits, found.scaled, found.exponentials, found.probabilities, strict=True)),
        best=max(found.probabilities),
        found=found,
        most=math.log2(len(logits)),
        fitted=checkpoint.card.temperature,
        at=(checkpoint.card.temperature - MIN_TEMPERATURE) / (MAX_TEMPERATURE - MIN_TEMPERATURE),
        verdict=verdict.replace("_", " "),
        reason=VERDICTS[verdict],
    )


def _centering(session: gr.State, subject: gr.State) -> None:
    components.heading("With and without centring", CENTERING)
    steps = components.derived("centering")

    def follow(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
        version = components.event_version(event)
        if subject.is_empty:
            return components.render("empty.html", version=version)
        if subject.strokes is None:
            return components.render("centering.html", version=version, steps=[])
        checkpoint = session.checkpoint(subject.dataset)
        found = centering(subject.strokes)
        row, column = (round(at) for at in found.mass)
        images = (
            grids.enlarged_image(found.drawn[None]),
            grids.enlarged_image(found.fitted[None], (4, 4, 20, 20)),
            grids.enlarged_image(found.fitted[None], (row, column, 1, 1)),
            grids.enlarged_image(found.centred[None], (13, 13, 2, 2)),
        )
        compared = {
            "as drawn": predict(checkpoint, found.drawn[None, None]).probabilities,
            "centred": predict(checkpoint, found.centred[None, None]).probabilities,
        }
        pairs = zip(STEPS, map(components.inline, images), strict=True)
        return components.render("centering.html", version=version, steps=list(pairs)) + _table(
            compared, checkpoint.card.classes, version
        )

    components.answer(steps.follow, "centering", follow, [subject, session], steps)


def _endpoint(networks: ModelRegistry) -> None:
    def probabilities(
        strokes: Strokes | None = None, photo: FileData | None = None
    ) -> dict[str, dict[str, float]]:
        with components.toast():
            subject = subjects.from_request(strokes, photo)
        classes = datasets.get_dataset(subject.dataset).classes
        rows = predictions.compare_models(networks.all(subject.dataset), subject.views)
        return {name: dict(zip(classes, row, strict=True)) for name, row in rows.items()}

    gr.api(
        probabilities,
        api_name="probabilities",
        api_description="What every network predicts for an image, and their mean: probabilities "
        "by network and class. Give `strokes` (lists of [x, y] points, y down) or a `photo`.",
    )
