"""The tab Probabilities: every network's opinion, softmax by hand, and why digits are centred."""

import html
import math

import gradio as gr
import torch
from gradio import FileData
from PIL.Image import Image

from cnn import UserError
from cnn.data import datasets
from cnn.evaluation import prediction
from cnn.evaluation.prediction import CONFIDENT, Prediction, predict
from cnn.interpret.arithmetic import Centering, Softmax, centering, softmax
from cnn.models.checkpoints import Checkpoint, ModelRegistry
from cnn.plots import charts, colormaps, grids
from cnn.web import components
from cnn.web.components import Subject
from cnn.web.session import VisitorSession, choices

COOLEST, HOTTEST = 0.1, 10.0
OPINIONS = (
    "Each row is one network's belief in each class, the last row the mean of all. Show something "
    "doubtful and watch where they part; press a row to let its network answer in every tab."
)
SOFTMAX = (
    "The network answers with one number a class, its logits; softmax makes shares of them. Turn "
    "up the temperature and every class gets a chance, turn it down and the best takes all."
)
CENTRED = (
    "MNIST's digits were fitted into 20 x 20 pixels and centred by their mass, so a network "
    "expects that. Draw small and in a corner, and compare what it says with and without."
)
STEPS = ("as drawn, on 28 x 28", "fitted into 20 x 20", "its centre of mass", "moved to the middle")


def tab(visit: gr.State, subject: gr.State) -> None:
    """Add the tab, asking the networks about the visitor's subject."""
    with gr.Tab("Probabilities", id="probabilities", elem_classes="inside") as shown:
        shipped = visit.value.shipped
        if not components.can_answer(shipped, "mnist"):
            return
        components.heading("Every network's opinion", OPINIONS)
        table = components.pickable()
        network, temperature, mark, sums = _softmax([subject, visit])
        centred = _centred([subject, visit])
        _endpoint(shipped)

    def choose(subject: Subject, visit: VisitorSession, name: str) -> tuple:
        with components.toast():
            visit.choose(name)
        return look(subject, visit)

    def press(subject: Subject, visit: VisitorSession, event: gr.EventData) -> tuple:
        return choose(subject, visit, str(event.value))

    def look(subject: Subject, visit: VisitorSession) -> tuple:
        checkpoint = visit.checkpoint(subject.dataset)
        opinions = prediction.compare_models(visit.all(subject.dataset), subject.views)
        fitted = round(checkpoint.card.temperature, 2)
        return (
            _opinions(opinions, checkpoint.card.classes, visit.chosen(subject.dataset)),
            choices(visit, subject.dataset),
            fitted,
            _fitted(fitted),
            _by_hand(checkpoint, subject, fitted),
        )

    outputs = [table, network, temperature, mark, sums]
    shown.select(look, [subject, visit], outputs, **components.HIDDEN_ENDPOINT)
    chosen = network.input(choose, [subject, visit, network], outputs, **components.HIDDEN_ENDPOINT)
    pressed = table.select(press, [subject, visit], outputs, **components.HIDDEN_ENDPOINT)
    for begun in (shown.select, chosen.then, pressed.then):
        begun(*centred, **components.HIDDEN_ENDPOINT)


def _opinions(
    rows: dict[str, tuple[float, ...]], classes: tuple[str, ...], chosen: str | None = None
) -> str:
    """Networks x classes as a table, each share on its colour, as HTML."""
    head = "".join(
        f"<th scope='col'><span class='{'long' * (len(name) > 1)}'>{html.escape(name)}</span></th>"
        for name in classes
    )
    body = "".join(
        f"{_head(name, chosen)}{''.join(map(_share, shares))}</tr>" for name, shares in rows.items()
    )
    link = components.saved(charts.heat_map(rows, classes), "probabilities")
    return (
        f"<table class='beliefs'><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{link}"
    )


def _head(name: str, chosen: str | None) -> str:
    """The begin of a row: where a network is chosen, the others can be pressed."""
    label = html.escape(name)
    if chosen is None or name == prediction.ENSEMBLE:
        return f"<tr><th scope='row'>{label}</th>"
    pressed = str(name == chosen).lower()
    button = f"<button aria-pressed='{pressed}'>{label}</button>"
    return f"<tr data-pick='{label}'><th scope='row'>{button}</th>"


def _share(share: float) -> str:
    color = colormaps.sequential(torch.tensor(share), 0, 1).tolist()
    ground, ink = (",".join(map(str, rgb)) for rgb in (color, colormaps.contrast_color(color)))
    percent = math.floor(1000 * share) / 10
    return f"<td style='background:rgb({ground});color:rgb({ink})'>{percent:.1f}</td>"


def _softmax(asked: list) -> tuple:
    """Softmax by hand; gives the network, the temperature, its mark and the sums."""
    components.heading("Softmax by hand", SOFTMAX)
    with gr.Row(elem_classes="controls"):
        network = gr.Dropdown([], label="Network", elem_classes="choice", min_width=200)
        with gr.Column():
            temperature = gr.Slider(COOLEST, HOTTEST, 1.0, step=0.01, label="Temperature")
            mark = gr.HTML(apply_default_css=False)
    sums = gr.HTML(apply_default_css=False)

    def warm(subject: Subject, visit: VisitorSession, temperature: float) -> str:
        with components.toast():
            checkpoint = visit.checkpoint(subject.dataset)
            return _by_hand(checkpoint, subject, _checked(temperature))

    asked = [*asked, temperature]
    temperature.input(warm, asked, sums, trigger_mode="always_last", **components.HIDDEN_ENDPOINT)
    return network, temperature, mark, sums


def _checked(temperature: float) -> float:
    if not COOLEST <= temperature <= HOTTEST:
        raise UserError(f"A temperature of {temperature} is out of range. Choose from 0.1 to 10.")
    return temperature


def _by_hand(checkpoint: Checkpoint, subject: Subject, temperature: float) -> str:
    logits = tuple(prediction.logits(checkpoint, subject.views).tolist())
    found = softmax(logits, temperature)
    best = max(found.probabilities)
    rows = "".join(
        f"<tr class='{'best' * (row[-1] == best)}' style='--share:{row[-1]:.4f}'>"
        f"<th scope='row'>{html.escape(name)}</th><td>{row[0]:.2f}</td><td>{row[1]:.2f}</td>"
        f"<td>{row[2]:.4f}</td><td>{100 * row[3]:.2f} %<i></i></td></tr>".replace(">-", ">−")
        for name, *row in zip(
            checkpoint.card.classes,
            logits,
            found.scaled,
            found.exponentials,
            found.probabilities,
            strict=True,
        )
    )
    heads = ("logit", "minus the greatest, divided by the temperature", "e to that")
    head = "".join(f"<th>{words}</th>" for words in ("", *heads, "divided by the sum"))
    return (
        f"<table class='by-hand'><thead><tr>{head}</tr></thead>{rows}"
        f"<tfoot><tr><th>sum</th><td></td><td></td><td>{found.sum:.4f}</td><td>100 %</td></tr>"
        f"</tfoot></table>{_meaning(found, predict(checkpoint, subject.views))}"
    )


def _fitted(temperature: float) -> str:
    at = (temperature - COOLEST) / (HOTTEST - COOLEST)
    return (
        f"<p class='fitted'><i style='--at:{at:.4f}'></i>{temperature:.2f} is this network's own: "
        "with it, of the pictures it is 90 % sure of it is right on nine in ten.</p>"
    )


def _meaning(found: Softmax, said: Prediction) -> str:
    most = math.log2(len(found.probabilities))
    return (
        "<dl class='meaning'>"
        f"<dt>Entropy {found.entropy:.2f} bits</dt><dd>How undecided this is: 0 for certainty, "
        f"{most:.2f} for no idea at all.</dd>"
        f"<dt>Margin {100 * found.margin:.1f} points</dt><dd>How far the best class is ahead of "
        "the second; near 0 it is a toss-up.</dd>"
        f"<dt>Verdict: {said.verdict}</dt><dd>{_VERDICTS[said.verdict]}</dd></dl>"
    )


_VERDICTS = {
    "empty": "There is nothing on the picture, so all classes get the same share.",
    "sure": f"At the network's own temperature the best class has {100 * CONFIDENT:.0f} % or more.",
    "unsure": f"At the network's own temperature no class reaches {100 * CONFIDENT:.0f} %.",
    "unfamiliar": "All logits are lower than those of nearly all pictures of its own kind, so it "
    "is probably none of the classes, however sure the shares look.",
}


def _captioned(text: str) -> gr.Image:
    with gr.Column():
        picture = components.picture(text, "large still")
        gr.HTML(f"<p class='museum'>{text}</p>", apply_default_css=False)
    return picture


def _centred(asked: list) -> tuple:
    """What centring does to a drawing; gives what to draw."""
    with gr.Column(elem_classes="inside") as whole:
        components.heading("With and without centring", CENTRED)
        with gr.Row(elem_classes="quartet"):
            pictures = [_captioned(text) for text in STEPS]
        table = gr.HTML(apply_default_css=False)

    def draw(subject: Subject, visit: VisitorSession) -> tuple:
        if subject.strokes is None:
            return gr.update(visible=False), *[gr.skip()] * (len(STEPS) + 1)
        checkpoint = visit.checkpoint(subject.dataset)
        steps = centering(subject.strokes)
        opinions = {
            "as drawn": predict(checkpoint, steps.drawn[None, None]).probabilities,
            "centred": predict(checkpoint, steps.centred[None, None]).probabilities,
        }
        table = _opinions(opinions, checkpoint.card.classes)
        return gr.update(visible=True), *_pictured(steps), table

    return draw, asked, [whole, *pictures, table]


def _pictured(steps: Centering) -> list[Image]:
    row, column = (round(at) for at in steps.mass)
    return [
        grids.enlarged_image(steps.drawn[None]),
        grids.enlarged_image(steps.fitted[None], (4, 4, 20, 20)),
        grids.enlarged_image(steps.fitted[None], (row, column, 1, 1)),
        grids.enlarged_image(steps.centred[None], (13, 13, 2, 2)),
    ]


def _endpoint(networks: ModelRegistry) -> None:
    def probabilities(
        strokes: components.Strokes | None = None, photo: FileData | None = None
    ) -> dict[str, dict[str, float]]:
        with components.toast():
            subject = components.given(strokes, photo)
        classes = datasets.get_dataset(subject.dataset).classes
        opinions = prediction.compare_models(networks.all(subject.dataset), subject.views)
        return {name: dict(zip(classes, row, strict=True)) for name, row in opinions.items()}

    gr.api(
        probabilities,
        api_name="probabilities",
        api_description="What every network says of a picture, and their mean: probabilities by "
        "network and class. Give `strokes` (lists of [x, y] points, y down) or a `photo`.",
    )
