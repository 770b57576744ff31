"""The tab Inside: filters, maps, one number's arithmetic, and which pixels counted."""

import dataclasses

import gradio as gr
import torch
from gradio import FileData
from PIL.Image import Image
from torch import Tensor, nn

from cnn import UserError, datasets, explanation, visualization, walkthrough
from cnn.checkpoints import Checkpoint, Collection
from cnn.explanation import METHODS
from cnn.page import parts
from cnn.page.parts import Subject
from cnn.page.visit import Visit, choices
from cnn.prediction import predict
from cnn.visualization import Layout
from cnn.walkthrough import Convolved, Stage, Step

FILTERS = "filters"
SHEET = (
    "Each tile is one filter of the first layer, or what one filter finds in your picture: the "
    "brighter, the more. Choose a stage to go deeper, and click a tile to see how its numbers "
    "come about."
)
CLOSER = (
    "A filter is laid over every place of what comes in, its weights are multiplied by what "
    "lies beneath, and the sum is one pixel of its map. Click the picture or the map to move "
    "the frame."
)
COUNTED = (
    "Three ways to ask the network which pixels made it say so, and each asks something else: "
    "orange spoke for the class, blue against. Try a class that it did not choose."
)
SHAPE = (
    "What leaves each stage for one picture, and what it costs. Look where most parameters lie "
    "and where most work is done: they are seldom the same place."
)
NO_FILTER = "No single filter made these maps. Choose a stage that one convolution leads to."
GIVE = (
    "Give `strokes` (lists of [x, y] points, y down) or a `photo`, and the name of a `network`, "
    "else the default one answers."
)


def tab(visit: gr.State, subject: gr.State) -> None:
    """Add the tab, looking into the visitor's chosen network at the visitor's subject."""
    with gr.Tab("Inside", id="inside", elem_classes="inside") as shown:
        shipped = visit.value.shipped
        if not parts.can_answer(shipped, "mnist"):
            return
        with gr.Row(elem_classes="controls"):
            glance = gr.HTML(apply_default_css=False)
            network = gr.Dropdown([], label="Network", elem_classes="choice", min_width=200)
        asked = [subject, visit]
        stage, sheet, follow = _maps(asked)
        label, pixels = _pixels(asked)
        shape = _shape(asked)
        _endpoints(shipped)

    def choose(subject: Subject, visit: Visit, name: str) -> tuple:
        with parts.toast():
            visit.choose(name)
        return look(subject, visit)

    def look(subject: Subject, visit: Visit) -> tuple:
        inside, card = visit.checkpoint(subject.dataset)
        said = predict(Checkpoint(inside, card), subject.views)
        stages = [FILTERS, *(name for name, _ in visualization.feature_maps(inside, subject.image))]
        return (
            parts.glance(subject, said),
            choices(visit, subject.dataset),
            gr.update(choices=stages, value=FILTERS),
            visualization.filters(inside),
            gr.update(choices=list(card.classes), value=said.label),
        )

    first = [glance, network, stage, sheet, label]
    looked = shown.select(look, asked, first, **parts.QUIET)
    chosen = network.input(choose, [*asked, network], first, **parts.QUIET)
    for done in (looked, chosen):
        for draw, inputs, outputs in (follow, pixels, shape):
            done.then(draw, inputs, outputs, **parts.QUIET)


def _maps(asked: list) -> tuple:
    """The sheet and one of its numbers; gives the stages, the sheet, and what to draw."""
    parts.heading("Filters and maps", SHEET)
    with gr.Row(elem_classes="controls"):
        stage = gr.Radio(
            [FILTERS], value=FILTERS, label="Stage", container=False, elem_classes="stages"
        )
        each = gr.Checkbox(
            label="a scale for each map", container=False, elem_classes="switch", min_width=200
        )
    sheet = parts.picture("The filters, or the maps of a stage, a tile each", "sheet")
    number, follow, closer = _number([*asked, stage])

    def draw(subject: Subject, visit: Visit, stage: str, each: bool) -> Image:
        with parts.toast():
            return _sheet(visit.checkpoint(subject.dataset), subject, stage, each)

    def pick(subject: Subject, visit: Visit, stage: str, event: gr.SelectData) -> int:
        with parts.toast():
            layout = _layout(visit.checkpoint(subject.dataset), subject, stage)
        found = layout.number_at(*event.index)
        return gr.skip() if found is None else found

    followed = follow, [*asked, stage, number], closer
    gr.on([stage.input, each.input], draw, [*asked, stage, each], sheet, **parts.QUIET)
    picked = sheet.select(pick, [*asked, stage], number, **parts.QUIET)
    for changed in (stage.input, number.input, picked.then):
        changed(*followed, **parts.QUIET)
    return stage, sheet, followed


def _number(asked: list) -> tuple:
    """One number of one map; gives the choice of filters, what to draw, and where."""
    parts.heading("One number", CLOSER)
    with gr.Row(elem_classes="controls numbers"):
        number, row, column = (
            gr.Number(0, label=text, precision=0, minimum=0, min_width=80)
            for text in ("Filter", "Row", "Column")
        )
    with gr.Row(elem_classes="trio"):
        source = parts.picture("What comes in, a frame about the patch", "large")
        weights = parts.picture("The filter: blue below zero, orange above", "large still")
        made = parts.picture("What the filter finds, a frame about the number", "large")
    sums = gr.HTML(apply_default_css=False, elem_id="sums")
    places = [number, row, column]
    outputs = [*places, source, weights, made, sums]

    def start(subject: Subject, visit: Visit, stage: str, *place: float | None) -> Convolved | None:
        network = visit.checkpoint(subject.dataset).network
        return _start(network, subject, stage, *place)

    def follow(subject: Subject, visit: Visit, stage: str, *place: float | None) -> tuple:
        with parts.toast():
            network = visit.checkpoint(subject.dataset).network
            return _closer(network, subject, _start(network, subject, stage, *place))

    def over(subject, visit, stage, number, row, column, event: gr.SelectData) -> tuple:
        with parts.toast():
            found = start(subject, visit, stage, number, row, column)
        scale = visualization.large_scale(max(found.inputs.shape[1:]))
        return found.over(event.index[1] // scale, event.index[0] // scale)

    def on(subject, visit, stage, number, row, column, event: gr.SelectData) -> tuple:
        with parts.toast():
            found = start(subject, visit, stage, number, row, column)
        scale = visualization.large_scale(max(found.map.shape))
        return event.index[1] // scale, event.index[0] // scale

    placed = (follow, [*asked, *places], outputs)
    for clicked, place in ((source, over), (made, on)):
        moved = clicked.select(place, [*asked, *places], [row, column], **parts.QUIET)
        moved.then(*placed, **parts.QUIET)
    gr.on([row.input, column.input], *placed, **parts.QUIET)
    return number, follow, outputs


def _maps_of(checkpoint: Checkpoint, subject: Subject, stage: str) -> Tensor:
    maps = dict(visualization.feature_maps(checkpoint.network, subject.image))
    if stage not in maps:
        raise UserError(f"There is no stage called {stage!r}. Choose: {', '.join(maps)}.")
    return maps[stage]


def _sheet(checkpoint: Checkpoint, subject: Subject, stage: str, each: bool) -> Image:
    if stage == FILTERS:
        return visualization.filters(checkpoint.network)
    return visualization.maps_sheet(_maps_of(checkpoint, subject, stage), each)


def _layout(checkpoint: Checkpoint, subject: Subject, stage: str) -> Layout:
    if stage == FILTERS:
        weights = visualization.first_convolution(checkpoint.network).weight
        return Layout(len(weights), *weights.shape[2:])
    return Layout(*_maps_of(checkpoint, subject, stage).shape)


def _start(
    network: nn.Sequential, subject: Subject, stage: str, *place: float | None
) -> Convolved | None:
    """The number to look at; None where no single filter made the maps of the stage."""
    name = walkthrough.convolution_of(network, None if stage == FILTERS else stage)
    return walkthrough.convolve(network, subject.image, name, *place) if name else None


def _closer(network: nn.Sequential, subject: Subject, start: Convolved | None) -> tuple:
    """What stands in the view of one number: its place, three pictures, and the sums."""
    if start is None:
        hidden = [gr.update(visible=False)] * 3
        return *[gr.skip()] * 3, *hidden, f"<p class='empty'>{NO_FILTER}</p>"
    channel = start.strongest[0].channel
    weights = start.filter if len(start.filter) == 3 else start.filter[channel, None]
    pictures = (
        visualization.large_inputs(start.inputs, channel, start.frame),
        visualization.large_filter(weights),
        visualization.large_map(start.map, (start.row, start.column, 1, 1)),
    )
    shown = [gr.update(value=picture, visible=True) for picture in pictures]
    sums = _sums(start) + _steps(walkthrough.follow(network, subject.image, start))
    return start.number, start.row, start.column, *shown, sums


def _sums(start: Convolved) -> str:
    """A row for each channel, patch times filter, and what they add up to, as HTML."""
    rows = []
    for product in start.strongest:
        made = product.patch * product.weights
        low, high = min(0.0, start.inputs.min().item()), start.inputs.max().item()
        grids = (
            _grid(product.patch, visualization.from_black(product.patch, low, high)),
            _grid(
                product.weights,
                visualization.about_zero(product.weights, start.filter.abs().max().item()),
            ),
            _grid(made, visualization.about_zero(made, made.abs().max().item())),
        )
        signs = zip(grids, ("×", "=", "Σ"), strict=True)
        row = "".join(f"{grid}<b>{sign}</b>" for grid, sign in signs)
        name = f"<small>channel {product.channel}</small>" * (len(start.filter) > 1)
        rows.append(f"<div class='sum'>{name}{row}<strong>{_written(product.sum)}</strong></div>")
    others = len(start.filter) - len(start.strongest)
    terms = [_written(product.sum) for product in start.strongest]
    terms += [f"{_written(start.rest)} (the {others} other channels)"] * (others > 0)
    terms += [f"{_written(start.bias)} (bias)"]
    total = f"<p>{' + '.join(terms)} = <strong>{_written(start.total)}</strong></p>"
    return "".join(rows) + total


def _steps(steps: list[Step]) -> str:
    rows = (
        f"<li><code>{step.stage}</code> {', '.join(map(_written, step.values))} → "
        f"<strong>{_written(step.becomes)}</strong> <small>{step.words}</small></li>"
        for step in steps
    )
    return f"<ol class='steps'>{''.join(rows)}</ol>"


def _grid(values: Tensor, colors: Tensor) -> str:
    """Numbers (k, k) as a table, each on its colour, as HTML."""
    cells = [
        "".join(_cell(value, color) for value, color in zip(*row, strict=True))
        for row in zip(values.tolist(), colors.tolist(), strict=True)
    ]
    return f"<table class='grid'>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _cell(value: float, color: list[int]) -> str:
    ink = "#000" if sum(color) > 380 else "#fff"
    ground = ",".join(map(str, color))
    return f"<td style='background:rgb({ground});color:{ink}'>{_written(value)}</td>"


def _written(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _pixels(asked: list) -> tuple:
    """Which pixels counted; gives the choice of classes, and what to draw."""
    parts.heading("Which pixels counted", COUNTED)
    choices = [(method.title, name) for name, method in METHODS.items()]
    with gr.Row(elem_classes="counted"):
        shown = parts.picture("The picture in grey, in colour where its pixels counted", "large")
        with gr.Column():
            method = gr.Radio(choices, value=choices[0][1], label="Method")
            label = gr.Dropdown([], label="Class")
            opacity = gr.Slider(0, 1, 0.8, step=0.05, label="Opacity")
            words = gr.HTML(apply_default_css=False)

    def draw(subject: Subject, visit: Visit, method: str, label: str, opacity: float) -> tuple:
        with parts.toast():
            checkpoint = visit.checkpoint(subject.dataset)
            counted = _counted(checkpoint, subject, method, label)
        said = f"<p class='museum'>{METHODS[method].meaning} {METHODS[method].pitfall}</p>"
        return visualization.overlay(subject.image[0], counted, opacity), said

    drawn = draw, [*asked, method, label, opacity], [shown, words]
    changes = [method.input, label.input, opacity.release]
    gr.on(changes, *drawn, trigger_mode="always_last", **parts.QUIET)
    return label, drawn


def _counted(checkpoint: Checkpoint, subject: Subject, method: str, label: str) -> Tensor:
    classes = checkpoint.card.classes
    if label not in classes:
        raise UserError(f"There is no class called {label!r}. Choose: {', '.join(classes)}.")
    network, number = checkpoint.network, classes.index(label)
    return explanation.attribute(network, subject.image, method, number)


def _shape(asked: list) -> tuple:
    """The stages of the network as a table; gives what to draw."""
    parts.heading("Shape of the network", SHAPE)
    table = gr.HTML(apply_default_css=False, elem_id="shape")

    def draw(subject: Subject, visit: Visit) -> str:
        with parts.toast():
            network = visit.checkpoint(subject.dataset).network
        return _table(walkthrough.stages(network, subject.image))

    return draw, asked, table


def _table(stages: list[Stage]) -> str:
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


def _endpoints(networks: Collection) -> None:
    def feature_maps(
        stage: str,
        strokes: parts.Strokes | None = None,
        photo: FileData | None = None,
        network: str | None = None,
    ) -> list[list[list[float]]]:
        with parts.toast():
            subject = parts.given(strokes, photo)
            found = networks.chosen(subject.dataset, network)[1]
            return _maps_of(found, subject, stage).tolist()

    def attribution(
        label: str,
        method: str = "grad-cam",
        strokes: parts.Strokes | None = None,
        photo: FileData | None = None,
        network: str | None = None,
    ) -> list[list[float]]:
        with parts.toast():
            subject = parts.given(strokes, photo)
            found = networks.chosen(subject.dataset, network)[1]
            return _counted(found, subject, method, label).tolist()

    def network_stages(network: str) -> list[dict[str, object]]:
        with parts.toast():
            found = networks.named(network)
        dataset = datasets.named(found.card.dataset)
        image = torch.zeros(1, dataset.channels, dataset.size, dataset.size)
        return [dataclasses.asdict(s) for s in walkthrough.stages(found.network, image)]

    def filters(network: str) -> list:
        with parts.toast():
            return visualization.first_convolution(networks.named(network).network).weight.tolist()

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
