"""One number of one map, followed all the way to the network's answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cnn.interpret.arithmetic import ConvBreakdown
from cnn.interpret.layers import flat_layers
from cnn.models import layers


@dataclass(frozen=True)
class TraceStep:
    """What a stage makes of one number: `values` joined by `sign`, and the number it becomes."""

    stage: str
    words: str
    values: tuple[float, ...]
    becomes: float
    sign: str = ", "


class Position(NamedTuple):
    """Where a number stands: on a map by row and column, or in a row of numbers."""

    number: int
    row: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return "" if self.row is None else f"row {self.row}, column {self.column} of "


class LayerIO(NamedTuple):
    """A module with what goes into it and what comes out, for one picture."""

    name: str
    module: nn.Module
    before: Tensor
    after: Tensor


@torch.inference_mode()
def trace_activation(
    network: nn.Sequential,
    image: Tensor,
    start: ConvBreakdown,
    classes: Sequence[str],
    temperature: float = 1.0,
) -> list[TraceStep]:
    """The way of one number from its convolution to the probability that it ends in.

    `image` is (1, C, H, W), and `classes` are the names of what the network answers. Where a stage
    mixes its inputs the way goes on with the number that this one raises most among those above
    zero, and at the last with the likeliest class.
    """
    values, place, steps, begun = image, Position(start.number, start.row, start.column), [], False
    last = [name for name, module in flat_layers(network) if isinstance(module, nn.Linear)][-1]
    for name, module in flat_layers(network):
        before, values = values, module(values)
        if begun and not isinstance(module, nn.Dropout):
            names = classes if name == last else None
            passage = LayerIO(name, module, before[0], values[0])
            made, place = _trace_layer(passage, place, names)
            steps += made
        begun = begun or name == start.stage
    shares = (values[0] / temperature).softmax(0)
    words = f"divided by {temperature:.2f}, the temperature, and e to that as a share of the sum"
    logit = values[0, place.number].item()
    return [*steps, TraceStep("softmax", words, (logit,), shares[place.number].item())]


def _trace_layer(
    passage: LayerIO, place: Position, classes: Sequence[str] | None
) -> tuple[list[TraceStep], Position]:
    """What one stage makes of the number at a place, and where it then stands.

    Only what makes the answer is given the names of the classes.
    """
    name, module, before, after = passage
    value = _value_at(before, place)
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return _trace_linear(passage, place, classes)
    if isinstance(module, nn.Flatten):
        height, width = before.shape[1:]
        index = (place.number * height + place.row) * width + place.column
        words = f"laid out: {place}map {place.number} is number {index} of {len(after):,}"
        return [TraceStep(name, words, (value,), value)], Position(index)
    if isinstance(module, nn.MaxPool2d):
        return _trace_pool(passage, place)
    if isinstance(module, (nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)):
        most = isinstance(module, nn.AdaptiveMaxPool2d)
        words = f"the {'greatest' if most else 'mean'} of its map's {before[0].numel()} numbers"
        place = Position(place.number, 0, 0)
        return [TraceStep(name, words, (value,), _value_at(after, place))], place
    if isinstance(module, layers.Residual):
        place = _trace_norm(place, before, after)
        words = f"its block adds what two convolutions find about it: map {place.number}"
        return [TraceStep(name, words, (value,), _value_at(after, place))], place
    words = _WORDS.get(type(module), "changed by itself")
    return [TraceStep(name, words, (value,), _value_at(after, place))], place


_WORDS = {
    nn.BatchNorm2d: "moved and scaled as all numbers of this map",
    nn.ReLU: "kept if it is positive, else zero",
    nn.GELU: "kept if it is large, made smaller if it is small, nearly zero if it is below zero",
    layers.Scale: "made smaller, as all of them",
}


def _value_at(values: Tensor, place: Position) -> float:
    index = place.number if place.row is None else place
    return values[index].item()


def _trace_norm(place: Position, before: Tensor, after: Tensor) -> Position:
    shrunk = before.shape[1] / after.shape[1]
    return Position(place.number, int(place.row / shrunk), int(place.column / shrunk))


def _trace_pool(passage: LayerIO, place: Position) -> tuple[list[TraceStep], Position]:
    name, module, before, after = passage
    side = module.kernel_size
    row = min(place.row // side, after.shape[1] - 1)
    column = min(place.column // side, after.shape[2] - 1)
    window = before[place.number, row * side :, column * side :][:side, :side]
    if (row, column) == (place.row // side, place.column // side):
        words = "the greatest of its neighbours is kept"
    else:
        words = "the map's last row or column has no partner and is left out; its neighbours go on"
    place = Position(place.number, row, column)
    return [
        TraceStep(name, words, tuple(window.flatten().tolist()), _value_at(after, place))
    ], place


def _trace_linear(
    passage: LayerIO, place: Position, classes: Sequence[str] | None
) -> tuple[list[TraceStep], Position]:
    """The number times a weight, and the sum of all such products."""
    name, module, before, after = passage
    value, goal = _value_at(before, place), Position(0)
    if isinstance(module, nn.Conv2d):
        (step, _), (edge, _), (tall, _) = module.stride, module.padding, module.kernel_size
        row, column = (
            min(max((at + edge - tall // 2) // step, 0), size - 1)
            for at, size in zip(place[1:], after.shape[1:], strict=True)
        )
        weights = module.weight[
            :, place.number, place.row + edge - row * step, place.column + edge - column * step
        ]
        sums, goal = after[:, row, column], Position(0, row, column)
        kind, products = "map", module.weight[0].numel()
    else:
        weights, sums = module.weight[:, place.number], after
        kind, products = "unit", module.in_features
    raised = (value * weights).masked_fill(sums <= 0, -torch.inf)
    number = int(sums.argmax() if classes or not (sums > 0).any() else raised.argmax())
    into = f"class {classes[number]}" if classes else f"{kind} {number}"
    weight, total = weights[number].item(), sums[number].item()
    made = value * weight
    return [
        TraceStep(name, f"times its weight for {into}", (value, weight), made, " × "),
        TraceStep(
            name,
            f"with {products - 1:,} other products and the bias: {into}",
            (made, total - made),
            total,
            " + ",
        ),
    ], goal._replace(number=number)
