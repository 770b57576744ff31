"""The tab Inside: filters, maps, one number's arithmetic, and which pixels counted."""

import dataclasses

import gradio as gr
import torch
from gradio import FileData
from PIL.Image import Image
from torch import Tensor

from cnn import UserError
from cnn.data import datasets
from cnn.evaluation.prediction import predict
from cnn.interpret import attribution
from cnn.interpret.attribution import METHODS
from cnn.interpret.layers import LayerSummary, summarize
from cnn.models.checkpoints import Checkpoint, ModelRegistry
from cnn.plots import charts, grids
from cnn.plots.grids import GridLayout
from cnn.web import components
from cnn.web.components import Subject
from cnn.web.session import VisitorSession, choices
from cnn.web.tabs import inside_trace
from cnn.web.tabs.inside_trace import FILTERS

SHEET = (
    "Each tile is one filter of the first layer, or what one filter finds in your picture: the "
    "brighter, the more. Choose a stage to go deeper, and click a tile to see how its numbers "
    "come about."
)
COUNTED = (
    "Three ways to ask the network which pixels made it say so, and each asks something else: "
    "orange spoke for the class, blue against. Try a class that it did not choose."
)
SHAPE = (
    "What leaves each stage for one picture, and what it costs. Look where most parameters lie "
    "and where most work is done: they are seldom the same place."
)
GIVE = (
    "Give `strokes` (lists of [x, y] points, y down) or a `photo`, and the name of a `network`, "
    "else the default one answers."
)


def tab(visit: gr.State, subject: gr.State) -> None:
    """Add the tab, looking into the visitor's chosen network at the visitor's subject."""
    with gr.Tab("Inside", id="inside", elem_classes="inside") as shown:
        shipped = visit.value.shipped
        if not components.can_answer(shipped, "mnist"):
            return
        with gr.Row(elem_classes="controls"):
            glance = gr.HTML(apply_default_css=False)
            network = gr.Dropdown([], label="Network", elem_classes="choice", min_width=200)
        asked = [subject, visit]
        stage, sheet, follow = _maps(asked)
        at_first = gr.State(FILTERS)
        label, pixels = _pixels(asked)
        shape = _shape(asked)
        _endpoints(shipped)

    def choose(subject: Subject, visit: VisitorSession, name: str) -> tuple:
        with components.toast():
            visit.choose(name)
        return look(subject, visit)

    def look(subject: Subject, visit: VisitorSession) -> tuple:
        inside, card = visit.checkpoint(subject.dataset)
        said = predict(Checkpoint(inside, card), subject.views)
        stages = [FILTERS, *(name for name, _ in grids.feature_maps(inside, subject.image))]
        return (
            components.prediction_summary(subject, said),
            choices(visit, subject.dataset),
            gr.update(choices=stages, value=FILTERS),
            grids.filters(inside),
            gr.update(choices=list(card.classes), value=said.label),
        )

    first = [glance, network, stage, sheet, label]
    shown.select(look, asked, first, **components.HIDDEN_ENDPOINT)
    chosen = network.input(choose, [*asked, network], first, **components.HIDDEN_ENDPOINT)
    for begun in (shown.select, chosen.then):  # all at once: each waits for nobody
        for draw, inputs, outputs in (pixels, shape):
            begun(draw, inputs, outputs, **components.HIDDEN_ENDPOINT)
        follow(begun, at_first)


def _maps(asked: list) -> tuple:
    """The sheet and one of its numbers; gives the stages, the sheet, and what follows them."""
    components.heading("Filters and maps", SHEET)
    with gr.Row(elem_classes="controls"):
        stage = gr.Radio(
            [FILTERS], value=FILTERS, label="Stage", container=False, elem_classes="stages"
        )
        each = gr.Checkbox(
            label="a scale for each map", container=False, elem_classes="switch", min_width=200
        )
    sheet = components.picture("The filters, or the maps of a stage, a tile each", "sheet")
    number, follow = inside_trace.view(asked, stage)

    def draw(subject: Subject, visit: VisitorSession, stage: str, each: bool) -> Image:
        with components.toast():
            return _sheet(visit.checkpoint(subject.dataset), subject, stage, each)

    def pick(subject: Subject, visit: VisitorSession, stage: str, event: gr.SelectData) -> int:
        with components.toast():
            layout = _layout(visit.checkpoint(subject.dataset), subject, stage)
        found = layout.number_at(*event.index)
        return gr.skip() if found is None else found

    gr.on(
        [stage.input, each.input], draw, [*asked, stage, each], sheet, **components.HIDDEN_ENDPOINT
    )
    picked = sheet.select(pick, [*asked, stage], number, **components.HIDDEN_ENDPOINT)
    for changed in (stage.input, picked.then):
        follow(changed, stage)
    return stage, sheet, follow


def _maps_of(checkpoint: Checkpoint, subject: Subject, stage: str) -> Tensor:
    maps = dict(grids.feature_maps(checkpoint.network, subject.image))
    if stage not in maps:
        raise UserError(f"There is no stage called {stage!r}. Choose: {', '.join(maps)}.")
    return maps[stage]


def _sheet(checkpoint: Checkpoint, subject: Subject, stage: str, each: bool) -> Image:
    if stage == FILTERS:
        return grids.filters(checkpoint.network)
    return grids.feature_map_grid(_maps_of(checkpoint, subject, stage), each)


def _layout(checkpoint: Checkpoint, subject: Subject, stage: str) -> GridLayout:
    if stage == FILTERS:
        weights = grids.first_conv(checkpoint.network).weight
        return GridLayout(len(weights), *weights.shape[2:])
    return GridLayout(*_maps_of(checkpoint, subject, stage).shape)


def _pixels(asked: list) -> tuple:
    """Which pixels counted; gives the choice of classes, and what to draw."""
    components.heading("Which pixels counted", COUNTED)
    choices = [(method.title, name) for name, method in METHODS.items()]
    with gr.Row(elem_classes="counted"):
        shown = components.picture(
            "The picture in grey, in colour where its pixels counted", "large"
        )
        with gr.Column():
            method = gr.Radio(choices, value=choices[0][1], label="Method")
            label = gr.Dropdown([], label="Class")
            opacity = gr.Slider(0, 1, 0.8, step=0.05, label="Opacity")
            words = gr.HTML(apply_default_css=False)
    found = gr.State(None)

    def draw(
        subject: Subject, visit: VisitorSession, method: str, label: str | None, opacity: float
    ) -> tuple:
        with components.toast():
            checkpoint = visit.checkpoint(subject.dataset)
            label = label or predict(checkpoint, subject.views).label
            counted = _counted(checkpoint, subject, method, label)
        said = f"<p class='museum'>{METHODS[method].meaning} {METHODS[method].pitfall}</p>"
        pair = subject.image[0], counted
        return grids.overlay(*pair, opacity), said, pair

    def fade(found: tuple | None, opacity: float) -> Image:
        return grids.overlay(*found, opacity) if found else gr.skip()

    chosen, outputs = [*asked, method, label, opacity], [shown, words, found]
    changes = [method.input, label.input]
    gr.on(changes, draw, chosen, outputs, trigger_mode="always_last", **components.HIDDEN_ENDPOINT)
    opacity.release(
        fade, [found, opacity], shown, trigger_mode="always_last", **components.HIDDEN_ENDPOINT
    )
    likeliest = gr.State(None)
    return label, (draw, [*asked, method, likeliest, opacity], outputs)


def _counted(checkpoint: Checkpoint, subject: Subject, method: str, label: str) -> Tensor:
    classes = checkpoint.card.classes
    if label not in classes:
        raise UserError(f"There is no class called {label!r}. Choose: {', '.join(classes)}.")
    network, number = checkpoint.network, classes.index(label)
    return attribution.attribute(network, subject.image, method, number)


def _shape(asked: list) -> tuple:
    """The stages of the network as a table and a drawing; gives what to draw."""
    components.heading("Shape of the network", SHAPE)
    with gr.Row(elem_classes="shapes"):
        table = gr.HTML(apply_default_css=False, elem_id="shape")
        drawing = components.picture(
            "The stages as bars, as wide as what leaves each", "chart still"
        )

    def draw(subject: Subject, visit: VisitorSession) -> tuple[str, Image]:
        with components.toast():
            network = visit.checkpoint(subject.dataset).network
        stages = summarize(network, subject.image)
        return _table(stages), charts.architecture_diagram(stages)

    return draw, asked, [table, drawing]


def _table(stages: list[LayerSummary]) -> str:
    most = [
        max(*(getattr(stage, cost) for stage in stages), 1)
        for cost in ("parameters", "multiply_adds")
    ]
    rows = "".join(
        f"<tr><th scope='row'>{stage.name}<small>{stage.kind}</small></th>"
        f"<td>{' x '.join(map(str, stage.shape))}</td>"
        f"{_bar(stage.parameters, most[0])}{_bar(stage.multiply_adds, most[1])}</tr>"
        for stage in stages
    )
    sums = [sum(stage.parameters for stage in stages), sum(s.multiply_adds for s in stages)]
    return (
        "<table class='shape'><thead><tr><th>stage</th><th>what leaves it</th>"
        "<th>parameters</th><th>multiply-adds</th></tr></thead>"
        f"<tbody>{rows}</tbody><tfoot><tr><th>together</th><td></td>"
        f"<td>{sums[0]:,}</td><td>{sums[1]:,}</td></tr></tfoot></table>"
    )


def _bar(value: int, most: int) -> str:
    return f"<td style='--share:{value / most:.4f}'>{f'{value:,}' if value else ''}<i></i></td>"


def _endpoints(networks: ModelRegistry) -> None:
    def feature_maps(
        stage: str,
        strokes: components.Strokes | None = None,
        photo: FileData | None = None,
        network: str | None = None,
    ) -> list[list[list[float]]]:
        with components.toast():
            subject = components.given(strokes, photo)
            found = networks.chosen(subject.dataset, network)[1]
            return _maps_of(found, subject, str(stage)).tolist()

    def attribution(
        label: str,
        method: str = "grad-cam",
        strokes: components.Strokes | None = None,
        photo: FileData | None = None,
        network: str | None = None,
    ) -> list[list[float]]:
        with components.toast():
            subject = components.given(strokes, photo)
            found = networks.chosen(subject.dataset, network)[1]
            return _counted(found, subject, str(method), label).tolist()

    def network_stages(network: str) -> list[dict[str, object]]:
        with components.toast():
            found = networks.named(str(network))
        dataset = datasets.get_dataset(found.card.dataset)
        image = torch.zeros(1, dataset.channels, dataset.size, dataset.size)
        return [dataclasses.asdict(s) for s in summarize(found.network, image)]

    def filters(network: str) -> list:
        with components.toast():
            found = networks.named(str(network)).network
        return grids.first_conv(found).weight.tolist()

    methods = ", ".join(METHODS)
    for function, text in (
        (feature_maps, f"What a `stage` makes of a picture, by map, row and column. {GIVE}"),
        (
            attribution,
            "How much each pixel counted for the class `label`, by row and column: positive for "
            f"and negative against. `method` is one of {methods}. {GIVE}",
        ),
        (
            network_stages,
            "The stages of the network of that name: what each is, the shape of what leaves it, "
            "its parameters, and its multiply-adds for one picture.",
        ),
        (filters, "The weights of a network's first filters, by filter, channel, row and column."),
    ):
        gr.api(function, api_name=function.__name__, api_description=text)
