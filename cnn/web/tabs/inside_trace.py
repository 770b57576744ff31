"""In the tab Inside: one activation of one map, computed, and traced to the output."""

import gradio as gr
from torch import Tensor, nn

from cnn import UserError
from cnn.interpret import arithmetic
from cnn.interpret.arithmetic import ConvBreakdown
from cnn.interpret.layers import receptive_field
from cnn.interpret.top_activations import probe_images, top_activations
from cnn.interpret.trace import TraceStep, trace_activation
from cnn.models.checkpoints import Checkpoint
from cnn.plots import charts, colormaps, grids
from cnn.web import components
from cnn.web.components import LATEST
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject

QUEUE = {"concurrency_limit": 1, "concurrency_id": "top-activations"}
COMPUTED = (
    "A filter is laid over every place of its input, its weights are multiplied by what lies "
    "beneath, and the sum is one number of its map. Press the input or the map to move the frame."
)
TOP = (
    "The 9 of 2,000 test images that activate this filter most. The frame is the receptive field "
    "of the strongest response."
)
NO_FILTER = (
    "No single filter makes these maps, since two paths are added. Press a layer that one "
    "convolution leads to."
)


def views(session: gr.State, subject: gr.State) -> None:
    """Add both views; they follow the map that is selected in the picture of the network."""
    script = components.asset("activation.js")
    components.heading("One activation, computed", COMPUTED)
    computed = components.derived("activation", script)
    computed.follow(_computed, [subject, session], computed, **LATEST)
    components.heading("Top activating images", TOP)
    images = components.derived("top-activations", script)
    images.follow(_top_images, [subject, session], images, **QUEUE, **LATEST)


def _selection(event: gr.EventData) -> tuple[str | None, int, int | None, int | None]:
    """Return layer, map, row and column; `None` where none is selected."""

    def number(name: str) -> int | None:
        text = str(event._data.get(name, ""))
        return int(text[:6]) if text.isdecimal() else None

    layer = str(event._data.get("layer", ""))
    return layer or None, number("map") or 0, number("row"), number("column")


def _convolution(network: nn.Sequential, layer: str | None) -> str | None:
    if layer is not None and layer not in dict(network.named_children()):
        layer = None
    return arithmetic.producing_conv(network, layer)


def _computed(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    version = components.event_version(event)
    if subject.is_empty:
        return components.render("empty.html", version=version)
    checkpoint = session.checkpoint(subject.dataset)
    network, card = checkpoint.network, checkpoint.card
    layer, *place = _selection(event)
    convolution = _convolution(network, layer)
    if convolution is None:
        return components.render("activation.html", version=version, missing=NO_FILTER)
    start = arithmetic.break_down_conv(network, subject.image, convolution, *place)
    channel = start.strongest[0].channel
    weights = start.filter if len(start.filter) == 3 else start.filter[channel, None]
    steps = trace_activation(network, subject.image, start, card.classes, card.temperature)
    near = next((i for i, step in enumerate(steps) if step.sign == " × "), len(steps))
    field = receptive_field(network, convolution, subject.image.shape[3], start.row, start.column)
    return components.render(
        "activation.html",
        version=version,
        missing="",
        start=start,
        channel=channel,
        images={
            "field": components.inline(grids.enlarged_image(subject.image[0], field)),
            "input": components.inline(grids.enlarged_inputs(start.inputs, channel, start.box)),
            "filter": components.inline(grids.enlarged_filter(weights)),
            "map": components.inline(
                grids.enlarged_map(start.map, (start.row, start.column, 1, 1))
            ),
        },
        products=_products(start),
        others=len(start.filter) - len(start.strongest),
        precise=_precise,
        near=[_words(step) for step in steps[:near]],
        trace=[_words(step) for step in steps[near:]],
    )


def _products(start: ConvBreakdown) -> list[dict]:
    """Describe patch, weights and product of each of the strongest channels as colored cells."""
    low, high = min(0.0, start.inputs.min().item()), start.inputs.max().item()
    largest = start.filter.abs().max().item()
    rows = []
    for part in start.strongest:
        product = part.patch * part.weights
        rows.append(
            {
                "channel": part.channel,
                "sum": part.sum,
                "grids": [
                    (_cells(part.patch, colormaps.sequential(part.patch, low, high)), "×"),
                    (_cells(part.weights, colormaps.diverging(part.weights, largest)), "="),
                    (
                        _cells(product, colormaps.diverging(product, product.abs().max().item())),
                        "Σ",
                    ),
                ],
            }
        )
    return rows


def _cells(values: Tensor, colors: Tensor) -> list[list[tuple[float, str, str]]]:
    """Return value, background and ink per cell of (k, k) numbers."""
    return [
        [
            (value, _css(color), _css(colormaps.contrast_color(color)))
            for value, color in zip(*row, strict=True)
        ]
        for row in zip(values.tolist(), colors.tolist(), strict=True)
    ]


def _css(color: list[int] | tuple[int, ...]) -> str:
    return f"rgb({', '.join(map(str, color))})"


def _words(step: TraceStep) -> tuple[str, str, str, str]:
    return (
        step.layer,
        step.sign.join(map(_precise, step.values)),
        _precise(step.result),
        step.text,
    )


def _precise(value: float) -> str:
    """Format with more decimals the smaller the value, so that sums can be followed."""
    return components.signed(value, 2 + sum(0 < abs(value) < small for small in (0.1, 0.01)))


def _top_images(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    version = components.event_version(event)
    checkpoint = session.checkpoint(subject.dataset)
    layer, index, *_ = _selection(event)
    convolution = _convolution(checkpoint.network, layer)
    if convolution is None:
        return components.render("top_activations.html", version=version, source="", text=NO_FILTER)
    try:
        source = _strip(checkpoint, convolution, index)
    except UserError as error:
        return components.render(
            "top_activations.html", version=version, source="", text=str(error)
        )
    return components.render("top_activations.html", version=version, source=source, text="")


def _strip(checkpoint: Checkpoint, convolution: str, index: int) -> str:
    found = top_activations(checkpoint, convolution)
    index = min(index, len(found.images) - 1)
    images = probe_images(checkpoint).images[found.images[index]]
    frames = [
        receptive_field(checkpoint.network, convolution, images.shape[3], *place)
        for place in found.positions[index].tolist()
    ]
    return components.inline(charts.strip(images, frames))
