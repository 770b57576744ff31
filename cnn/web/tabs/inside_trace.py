"""In the tab Inside: one number of one map, its arithmetic, and its way to the answer."""

from collections.abc import Callable

import gradio as gr
from PIL.Image import Image
from torch import Tensor, nn

from cnn import UserError
from cnn.interpret import arithmetic
from cnn.interpret.arithmetic import ConvBreakdown
from cnn.interpret.top_activations import probe_images, receptive_field, top_activations
from cnn.interpret.trace import TraceStep, trace_activation
from cnn.models.checkpoints import Checkpoint
from cnn.plots import charts, colormaps, grids
from cnn.web import components
from cnn.web.components import Subject
from cnn.web.session import VisitorSession

FILTERS = "filters"
SEARCH = {
    "show_progress": "full",
    "concurrency_limit": 1,
    "concurrency_id": "excitement",
    "api_visibility": "private",
}
CLOSER = (
    "A filter is laid over every place of what comes in, its weights are multiplied by what "
    "lies beneath, and the sum is one pixel of its map. Click the picture or the map to move "
    "the frame."
)
WAY = (
    "How the number in the frame came about, and what becomes of it, stage by stage, until it is "
    "part of the answer. Where a stage mixes many numbers, its strongest way on is followed."
)
EXCITED = (
    "Of two thousand test pictures the nine in which this filter finds most, framed where it does. "
    "What stands in the frames is what it looks for."
)
NO_FILTER = "No single filter made these maps. Choose a stage that one convolution leads to."


def view(asked: list, stage: gr.Radio) -> tuple[gr.Number, Callable]:
    """Add the view; gives the choice of filters, and what lets it follow an event."""
    components.heading("One number", CLOSER)
    with gr.Row(elem_classes="controls numbers"):
        number, row, column = (
            gr.Number(0, label=text, precision=0, minimum=0, min_width=80)
            for text in ("Filter", "Row", "Column")
        )
    with gr.Row(elem_classes="trio"):
        source = components.picture("What comes in, a frame about the patch", "large")
        weights = components.picture("The filter: blue below zero, orange above", "large still")
        made = components.picture("What the filter finds, a frame about the number", "large")
    components.heading("All the way", WAY)
    sums = gr.HTML(apply_default_css=False, elem_id="sums")
    components.heading("What excites it", EXCITED)
    state = gr.HTML(apply_default_css=False, elem_id="exciting")
    nine = components.picture("The nine test pictures that excite the filter most", "sheet still")
    places = [number, row, column]
    outputs = [*places, source, weights, made, sums]

    def start(
        subject: Subject, visit: VisitorSession, stage: str, *place: float | None
    ) -> ConvBreakdown | None:
        network = visit.checkpoint(subject.dataset).network
        return _start(network, subject, stage, *place)

    def follow(subject: Subject, visit: VisitorSession, stage: str, *place: float | None) -> tuple:
        with components.toast():
            checkpoint = visit.checkpoint(subject.dataset)
            found = _start(checkpoint.network, subject, stage, *place)
            return _closer(checkpoint, subject, found)

    def over(subject, visit, stage, number, row, column, event: gr.SelectData) -> tuple:
        with components.toast():
            found = start(subject, visit, stage, number, row, column)
        scale = grids.enlarged_scale(max(found.inputs.shape[1:]))
        return found.over(event.index[1] // scale, event.index[0] // scale)

    def on(subject, visit, stage, number, row, column, event: gr.SelectData) -> tuple:
        with components.toast():
            found = start(subject, visit, stage, number, row, column)
        scale = grids.enlarged_scale(max(found.map.shape))
        return event.index[1] // scale, event.index[0] // scale

    def excite(
        subject: Subject,
        visit: VisitorSession,
        stage: str,
        number: float,
        progress=gr.Progress(),  # noqa: B008
    ) -> tuple:
        checkpoint = visit.checkpoint(subject.dataset)
        try:
            pictures = _nine(checkpoint, stage, number, progress)
        except UserError as error:
            return components.inline_error(error), gr.update(visible=False)
        return "", gr.update(value=pictures, visible=pictures is not None)

    def after(done: Callable, stage: gr.Radio | gr.State) -> None:
        now = [*asked, stage, number]
        followed = done(follow, now, outputs, **components.HIDDEN_ENDPOINT)
        followed.then(excite, now, [state, nine], **SEARCH, show_progress_on=state)

    placed = [*asked, stage, *places]
    for clicked, place in ((source, over), (made, on)):
        moved = clicked.select(place, placed, [row, column], **components.HIDDEN_ENDPOINT)
        moved.then(follow, placed, outputs, **components.HIDDEN_ENDPOINT)
    for typed in (row, column):
        typed.input(follow, placed, outputs, **components.HIDDEN_ENDPOINT)
    after(number.input, stage)
    return number, after


def _nine(checkpoint: Checkpoint, stage: str, number: float, progress: Callable) -> Image | None:
    name = _convolution(checkpoint.network, stage)
    if name is None:
        return None
    found = top_activations(checkpoint, name, progress)
    chosen = min(max(int(number or 0), 0), len(found.images) - 1)
    images = probe_images(checkpoint).images[found.images[chosen]]
    places = found.positions[chosen].tolist()
    side = images.shape[3]
    return charts.strip(
        images, [receptive_field(checkpoint.network, name, side, *place) for place in places]
    )


def _convolution(network: nn.Sequential, stage: str) -> str | None:
    return arithmetic.producing_conv(network, None if stage == FILTERS else stage)


def _start(
    network: nn.Sequential, subject: Subject, stage: str, number: float | None, *place: float | None
) -> ConvBreakdown | None:
    """The number to look at; None where no single filter made the maps of the stage."""
    name = _convolution(network, stage)
    return (
        arithmetic.break_down_conv(network, subject.image, name, number or 0, *place)
        if name
        else None
    )


def _closer(checkpoint: Checkpoint, subject: Subject, start: ConvBreakdown | None) -> tuple:
    """What stands in the view of one number: its place, three pictures, and the sums."""
    if start is None:
        return *[gr.update(visible=False)] * 6, f"<p class='empty'>{NO_FILTER}</p>"
    channel = start.strongest[0].channel
    weights = start.filter if len(start.filter) == 3 else start.filter[channel, None]
    pictures = (
        grids.enlarged_inputs(start.inputs, channel, start.frame),
        grids.enlarged_filter(weights),
        grids.enlarged_map(start.map, (start.row, start.column, 1, 1)),
    )
    shown = [gr.update(value=picture, visible=True) for picture in pictures]
    network, card = checkpoint
    way = trace_activation(network, subject.image, start, card.classes, card.temperature)
    place = [gr.update(value=at, visible=True) for at in (start.number, start.row, start.column)]
    return *place, *shown, _sums(start) + _steps(way)


def _sums(start: ConvBreakdown) -> str:
    """A row for each channel, patch times filter, and what they add up to, as HTML."""
    rows = []
    for product in start.strongest:
        made = product.patch * product.weights
        low, high = min(0.0, start.inputs.min().item()), start.inputs.max().item()
        grids = (
            _grid(product.patch, colormaps.sequential(product.patch, low, high)),
            _grid(
                product.weights,
                colormaps.diverging(product.weights, start.filter.abs().max().item()),
            ),
            _grid(made, colormaps.diverging(made, made.abs().max().item())),
        )
        signs = zip(grids, ("×", "=", "Σ"), strict=True)
        row = "".join(f"{grid}<b>{sign}</b>" for grid, sign in signs)
        name = f"<small>channel {product.channel}</small>" * (len(start.filter) > 1)
        rows.append(f"<div class='sum'>{name}{row}<strong>{_closely(product.sum)}</strong></div>")
    others = len(start.filter) - len(start.strongest)
    terms = [_closely(product.sum) for product in start.strongest]
    terms += [f"{_closely(start.rest)} (the {others} other channels)"] * (others > 0)
    terms += [f"{_closely(start.bias)} (bias)"]
    total = f"<p>{' + '.join(terms)} = <strong>{_closely(start.total)}</strong></p>"
    return "".join(rows) + total


def _steps(steps: list[TraceStep]) -> str:
    rows = (
        f"<li><code>{step.stage}</code> {step.sign.join(map(_closely, step.values))} → "
        f"<strong>{_closely(step.becomes)}</strong> <small>{step.words}</small></li>"
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
    ground, ink = (",".join(map(str, rgb)) for rgb in (color, colormaps.contrast_color(color)))
    return f"<td style='background:rgb({ground});color:rgb({ink})'>{_written(value)}</td>"


def _written(value: float, decimals: int = 2) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")


def _closely(value: float) -> str:
    """With the more decimals the smaller it is, so that sums and products can be followed."""
    return _written(value, 2 + sum(0 < abs(value) < small for small in (0.1, 0.01)))
