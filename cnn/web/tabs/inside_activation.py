"""In the tab Inside: one activation of one map, computed, and traced to the output."""

import base64

import gradio as gr
import numpy as np
from torch import Tensor, nn

from cnn.interpret import arithmetic
from cnn.interpret.arithmetic import ConvBreakdown
from cnn.interpret.layers import flat_layers, receptive_field
from cnn.interpret.trace import TraceStep, trace_activation
from cnn.models.checkpoints import Checkpoint
from cnn.web import components
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject

TRACE = (
    "The number under the window, layer by layer, to the probability of the predicted class. Where "
    "a layer mixes its inputs, the trace follows the output through which the number matters most."
)
NO_FILTER = (
    "No single filter makes these maps, since two paths are added. Press a layer that one "
    "convolution leads to."
)
NOTHING = "There is nothing to see yet. Draw a digit or choose a photograph."
SELECTED = """
details = () => cnn.selection;
addEventListener("selectionchange", () => follow(true));
"""


def view(session: gr.State, subject: gr.State) -> None:
    """Add the view that computes one number of the map selected in the picture of the network."""
    computed = components.derived(
        "activation",
        components.asset("colors.js") + components.asset("activation.js"),
        html_template=components.asset("activation.html"),
    )
    components.answer(computed.follow, "activation", _message, [subject, session], computed)


def trace_view(session: gr.State, subject: gr.State) -> None:
    """Add the view that follows this number to the output."""
    components.heading("Trace to the output", TRACE)
    trace = components.derived("trace", SELECTED)
    components.answer(trace.follow, "trace", _trace, [subject, session], trace)


def selection(event: gr.EventData) -> tuple[str | None, int | None, int | None, int | None]:
    """Return layer, map, row and column; `None` where none is selected."""

    def number(name: str) -> int | None:
        text = str(components.event_field(event, name))
        return int(text[:6]) if text.isdecimal() else None

    layer = components.event_field(event, "layer")
    return str(layer) if layer else None, number("map"), number("row"), number("column")


def convolution_of(network: nn.Sequential, layer: str | None) -> str | None:
    """Return the convolution that makes the maps of a layer, the first one without a layer."""
    if layer is not None and layer not in dict(network.named_children()):
        layer = None
    return arithmetic.producing_conv(network, layer)


def _selected(subject: Subject, checkpoint: Checkpoint, event: gr.EventData) -> ConvBreakdown | str:
    """Return the selected activation, or a sentence that says why there is none."""
    if subject.is_empty:
        return NOTHING
    layer, *place = selection(event)
    convolution = convolution_of(checkpoint.network, layer)
    if convolution is None:
        return NO_FILTER
    return arithmetic.break_down_conv(checkpoint.network, subject.image, convolution, *place)


def _message(subject: Subject, session: VisitorSession, event: gr.EventData) -> dict:
    """Return what activation.js computes with: filter, its input, and the layers after it."""
    version = components.event_version(event)
    checkpoint = session.checkpoint(subject.dataset)
    start = _selected(subject, checkpoint, event)
    if isinstance(start, str):
        return {"version": version, "missing": start}
    names = [name for name, _ in flat_layers(checkpoint.network)]
    position = names.index(start.layer)
    field = receptive_field(checkpoint.network, start.layer, subject.image.shape[3])
    stages = arithmetic.map_layers_after(checkpoint.network, start.layer)
    return {
        "version": version,
        "missing": "",
        "network": session.chosen(subject.dataset),
        "layer": start.layer,
        "before": names[position - 1] if position else "",
        "map": start.channel,
        "image": _numbers(subject.image[0]),
        "inputs": _numbers(start.inputs),
        "filter": _numbers(start.filter),
        "bias": start.bias,
        "stride": start.stride,
        "padding": start.padding,
        "field": field._asdict(),
        "stages": [{"name": name, **_stage(layer, start.channel)} for name, layer in stages],
    }


def _numbers(values: Tensor) -> dict:
    """Return a tensor as 16-bit fractions of its largest magnitude, for JavaScript."""
    largest = max(values.abs().max().item(), 1e-12)
    fractions = np.rint(values.float().numpy() / largest * 32767).astype("<i2")
    data = base64.b64encode(fractions.tobytes()).decode()
    return {"shape": list(values.shape), "scale": largest / 32767, "data": data}


def _stage(layer: nn.Module, channel: int) -> dict:
    match layer:
        case nn.BatchNorm2d():
            return {
                "kind": "batch norm",
                "mean": layer.running_mean[channel].item(),
                "deviation": (layer.running_var[channel] + layer.eps).sqrt().item(),
                "weight": layer.weight[channel].item(),
                "bias": layer.bias[channel].item(),
            }
        case nn.MaxPool2d():
            return {"kind": "pooling", "size": layer.kernel_size, "stride": layer.stride}
    return {"kind": "GELU" if isinstance(layer, nn.GELU) else "ReLU"}


def _trace(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    version = components.event_version(event)
    checkpoint = session.checkpoint(subject.dataset)
    start = _selected(subject, checkpoint, event)
    if isinstance(start, str):
        return components.render("trace.html", version=version, missing=start)
    card = checkpoint.card
    steps = trace_activation(
        checkpoint.network, subject.image, start, card.classes, card.temperature
    )
    return components.render(
        "trace.html",
        version=version,
        missing="",
        start=start,
        total=_precise(start.total),
        steps=[_words(step) for step in steps],
    )


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
