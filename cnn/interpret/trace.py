"""One activation traced forward to the probability of the predicted class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cnn.interpret.arithmetic import ConvBreakdown
from cnn.interpret.layers import activations, side_of
from cnn.models import layers


@dataclass(frozen=True)
class TraceStep:
    """What a layer does with one number: `values` joined by `sign`, and their `result`."""

    layer: str
    text: str
    values: tuple[float, ...]
    result: float
    sign: str = ", "


class Position(NamedTuple):
    """Where a number stands: at a row and column of a map, or in a vector."""

    channel: int
    row: int | None = None
    column: int | None = None

    @property
    def on_map(self) -> tuple[int, int]:
        """Row and column of a number that stands on a map."""
        assert self.row is not None and self.column is not None
        return self.row, self.column

    def __str__(self) -> str:
        return "" if self.row is None else f"row {self.row}, column {self.column} of "


class LayerIO(NamedTuple):
    """A layer with its input and output for one image, without the batch axis.

    `gradient`, of the output's shape, is that of the predicted class's logit.
    """

    name: str
    layer: nn.Module
    input: Tensor
    output: Tensor
    gradient: Tensor


def trace_activation(
    network: nn.Sequential,
    image: Tensor,
    start: ConvBreakdown,
    classes: Sequence[str],
    temperature: float = 1.0,
) -> list[TraceStep]:
    """Trace one activation from its convolution to the probability of the predicted class.

    `image` is (1, C, H, W). Where a layer mixes its inputs, the trace goes on with the output
    through which the number contributes most to the predicted class's logit: the product of the
    number, its weight and the logit's gradient at that output.
    """
    passes = _with_gradients(network, image)
    logits = passes[-1].output
    predicted = int(logits.argmax())
    position, steps, started = Position(start.channel, start.row, start.column), [], False
    for part in passes:
        if started and not isinstance(part.layer, nn.Dropout):
            label = classes[predicted] if part is passes[-1] else None
            made, position = _trace_layer(part, position, label)
            steps += made
        started = started or part.name == start.layer
    probability = (logits / temperature).softmax(0)[predicted].item()
    text = f"softmax of all logits divided by the temperature {temperature:.2f}"
    return [*steps, TraceStep("softmax", text, (logits[predicted].item(),), probability)]


def _with_gradients(network: nn.Sequential, image: Tensor) -> list[LayerIO]:
    """Run all layers; keep what enters and leaves each, with the predicted logit's gradient."""
    with torch.inference_mode(False), torch.enable_grad():
        steps = list(activations(network, image.clone().requires_grad_(), flat=True))
        outputs = [step.output for step in steps]
        gradients = torch.autograd.grad(outputs[-1].max(), outputs)
    return [
        LayerIO(step.name, step.layer, step.input[0].detach(), step.output[0].detach(), gradient[0])
        for step, gradient in zip(steps, gradients, strict=True)
    ]


def _trace_layer(
    part: LayerIO, position: Position, label: str | None
) -> tuple[list[TraceStep], Position]:
    """Describe what one layer does with the number at a position, and where it then stands.

    Only the last layer gets a `label`: the predicted class.
    """
    name, layer, before, after, _ = part
    value = _value_at(before, position)
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        return _trace_linear(part, position, label)
    if isinstance(layer, nn.BatchNorm2d):
        return _trace_norm(part, position)
    if isinstance(layer, nn.Flatten):
        row, column = position.on_map
        height, width = before.shape[1:]
        index = (position.channel * height + row) * width + column
        text = f"{position}map {position.channel} is element {index} of a vector of {len(after):,}"
        return [TraceStep(name, text, (value,), value)], Position(index)
    if isinstance(layer, nn.MaxPool2d):
        return _trace_pool(part, position)
    if isinstance(layer, (nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)):
        kind = "maximum" if isinstance(layer, nn.AdaptiveMaxPool2d) else "mean"
        text = f"the {kind} of its map's {before[0].numel()} numbers"
        position = Position(position.channel, 0, 0)
        return [TraceStep(name, text, (value,), _value_at(after, position))], position
    if isinstance(layer, layers.Residual):
        position = _rescale(position, before, after)
        text = f"the block adds the output of two convolutions: map {position.channel}"
        return [TraceStep(name, text, (value,), _value_at(after, position))], position
    text = _TEXTS.get(type(layer), "changed by itself")
    return [TraceStep(name, text, (value,), _value_at(after, position))], position


_TEXTS = {
    nn.ReLU: "kept if it is positive, else zero",
    nn.GELU: "kept if it is large, nearly zero if it is negative",
    layers.Scale: "multiplied by a constant",
}


def _value_at(values: Tensor, position: Position) -> float:
    index = position.channel if position.row is None else position
    return values[index].item()


def _rescale(position: Position, before: Tensor, after: Tensor) -> Position:
    factor = before.shape[1] / after.shape[1]
    channel = min(position.channel, after.shape[0] - 1)
    row, column = (int(index / factor) for index in position.on_map)
    return Position(channel, row, column)


def _trace_norm(part: LayerIO, position: Position) -> tuple[list[TraceStep], Position]:
    """Describe batch norm with the numbers of the map: mean, deviation, scale and shift."""
    norm, channel = part.layer, position.channel
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    mean = norm.running_mean[channel].item()
    deviation = (norm.running_var[channel] + norm.eps).sqrt().item()
    text = (
        f"minus the mean {mean:.3g}, divided by the deviation {deviation:.3g}, times "
        f"{norm.weight[channel].item():.3g}, plus {norm.bias[channel].item():.3g}"
    ).replace("-", "\u2212")
    value = _value_at(part.input, position)
    return [TraceStep(part.name, text, (value,), _value_at(part.output, position))], position


def _trace_pool(part: LayerIO, position: Position) -> tuple[list[TraceStep], Position]:
    name, layer, before, after, _ = part
    assert isinstance(layer, nn.MaxPool2d)
    side = side_of(layer.kernel_size)
    window_row, window_column = (index // side for index in position.on_map)
    row = min(window_row, after.shape[1] - 1)
    column = min(window_column, after.shape[2] - 1)
    window = before[position.channel, row * side :, column * side :][:side, :side]
    if (row, column) == (window_row, window_column):
        text = "the maximum of its window is kept"
    else:
        text = "the last row or column of an odd map is left out; its neighbors go on"
    position = Position(position.channel, row, column)
    values = tuple(window.flatten().tolist())
    return [TraceStep(name, text, values, _value_at(after, position))], position


def _trace_linear(
    part: LayerIO, position: Position, label: str | None
) -> tuple[list[TraceStep], Position]:
    """Describe the product with a weight, and the sum of all products of the chosen output."""
    name, layer, _, after, gradient = part
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    value = _value_at(part.input, position)
    weights = _weights_of(part, position)
    if label is None:
        contribution = value * weights * gradient
        reached = weights != 0
        if not contribution.any():
            contribution = weights.abs()
        flat = int(contribution.masked_fill(~reached, -torch.inf).argmax())
    else:
        flat = int(after.argmax())
    target = Position(*(int(i) for i in torch.unravel_index(torch.tensor(flat), after.shape)))
    kind = "map" if isinstance(layer, nn.Conv2d) else "unit"
    goal = f"class {label}" if label is not None else f"{kind} {target.channel}"
    weight, total = _value_at(weights, target), _value_at(after, target)
    product = value * weight
    others = layer.weight[0].numel() - 1
    return [
        TraceStep(name, f"times its weight for {goal}", (value, weight), product, " × "),
        TraceStep(
            name,
            f"with {others:,} other products and the bias: {goal}",
            (product, total - product),
            total,
            " + ",
        ),
    ], target


def _weights_of(part: LayerIO, position: Position) -> Tensor:
    """Return the weight of the number at a position for each output; 0 where it does not reach."""
    if isinstance(part.layer, nn.Linear):
        return part.layer.weight[:, position.channel]
    conv = part.layer
    assert isinstance(conv, nn.Conv2d) and not isinstance(conv.padding, str)
    (stride, _), (padding, _), (kernel, _) = conv.stride, conv.padding, conv.kernel_size
    above, left = position.on_map
    weights = torch.zeros_like(part.output)
    for i in range(kernel):
        for j in range(kernel):
            row, odd_row = divmod(above + padding - i, stride)
            column, odd_column = divmod(left + padding - j, stride)
            inside = 0 <= row < weights.shape[1] and 0 <= column < weights.shape[2]
            if inside and not odd_row and not odd_column:
                weights[:, row, column] = conv.weight[:, position.channel, i, j]
    return weights
