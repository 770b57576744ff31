"""The arithmetic of a network with the visitor's numbers: convolution, softmax, centering."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional

from cnn.data import strokes
from cnn.interpret.layers import Box, activation_of, flat_layers
from cnn.models import layers

TOP_CHANNELS = 3


@dataclass(frozen=True)
class ChannelContribution:
    """One input channel's part of a convolution: `patch` times `weights`, (k, k), and their sum."""

    channel: int
    patch: Tensor
    weights: Tensor
    sum: float


@dataclass(frozen=True)
class ConvBreakdown:
    """How the convolution `layer` computes its activation at `row`, `column` of map `channel`.

    `strongest` are the input channels with the greatest contributions and `rest` the sum of all
    others; with `bias` they make `total`. `filter` is (C, k, k), `inputs` the layer's input,
    (C, H, W), and `map` the whole map, (H, W). `box` is the patch on the inputs; it may reach
    over their edge, where there are zeros. The filter moves on by `stride`.
    """

    layer: str
    channel: int
    row: int
    column: int
    strongest: tuple[ChannelContribution, ...]
    rest: float
    bias: float
    total: float
    filter: Tensor
    inputs: Tensor
    map: Tensor
    box: Box
    stride: int

    def output_position(self, row: int, column: int) -> tuple[int, int]:
        """Return the position on the map whose patch is centered at a pixel of the inputs."""
        top, left, height, width = self.box
        padding = self.row * self.stride - top, self.column * self.stride - left
        return (
            (row + padding[0] - height // 2) // self.stride,
            (column + padding[1] - width // 2) // self.stride,
        )


def producing_conv(network: nn.Sequential, layer: str | None = None) -> str | None:
    """Return the convolution that the maps of a layer belong to: itself, or the last one before.

    Without a layer it is the first convolution of the network, and for a block its last. None
    where there is none yet, or where two paths are added.
    """
    conv, reached = None, False
    for name, module in flat_layers(network):
        at_layer = layer in (name, name.split(".")[0])
        if reached and not at_layer:
            return conv
        reached = reached or at_layer
        if isinstance(module, nn.Conv2d):
            conv = name
        elif isinstance(module, layers.BLOCKS):
            conv = None
        if layer is None and conv:
            return conv
    return conv if reached else None


@torch.inference_mode()
def break_down_conv(
    network: nn.Sequential,
    image: Tensor,
    layer: str,
    channel: int = 0,
    row: int | None = None,
    column: int | None = None,
) -> ConvBreakdown:
    """Compute one activation of a convolution as patch times filter, summed.

    `image` is (1, C, H, W). A channel, row or column outside the maps is moved inside; without
    row and column it is the position of the map's greatest value.
    """
    _, conv, inputs, maps = activation_of(network, image, layer)
    channel = _clamp(channel, maps.shape[1])
    values = maps[0, channel]
    height, width = values.shape
    if row is None or column is None:
        row, column = divmod(int(values.argmax()), width)
    row, column = _clamp(row, height), _clamp(column, width)

    (tall, wide), (stride, _), (padding, _) = conv.kernel_size, conv.stride, conv.padding
    top, left = row * stride, column * stride
    padded = functional.pad(inputs[0], (padding,) * 4)
    patches = padded[:, top : top + tall, left : left + wide]
    weights = conv.weight[channel]
    sums = (patches * weights).sum((1, 2))
    order = sums.abs().argsort(descending=True)[:TOP_CHANNELS].tolist()
    if len(sums) <= TOP_CHANNELS:
        order.sort()
    bias = 0.0 if conv.bias is None else conv.bias[channel].item()
    return ConvBreakdown(
        layer=layer,
        channel=channel,
        row=row,
        column=column,
        strongest=tuple(
            ChannelContribution(c, patches[c], weights[c], sums[c].item()) for c in order
        ),
        rest=sums.sum().item() - sums[order].sum().item(),
        bias=bias,
        total=sums.sum().item() + bias,
        filter=weights,
        inputs=inputs[0],
        map=values,
        box=(top - padding, left - padding, tall, wide),
        stride=stride,
    )


def _clamp(index: float, count: int) -> int:
    return min(max(int(index), 0), count - 1)


@dataclass(frozen=True)
class Softmax:
    """Logits turned into probabilities, with each step kept.

    `entropy` is in bits: 0 for certainty, log2 of the number of classes for equal probabilities.
    `margin` is the best probability less the second.
    """

    scaled: tuple[float, ...]
    exponentials: tuple[float, ...]
    sum: float
    probabilities: tuple[float, ...]
    entropy: float
    margin: float


def softmax(logits: tuple[float, ...], temperature: float) -> Softmax:
    """Subtract the greatest logit, divide by the temperature, exponentiate, divide by the sum.

    Subtracting the greatest changes no probability and keeps the exponentials within [0, 1].
    """
    scaled = tuple((logit - max(logits)) / temperature for logit in logits)
    exponentials = tuple(map(math.exp, scaled))
    total = sum(exponentials)
    probabilities = tuple(value / total for value in exponentials)
    best, second, *_ = sorted(probabilities, reverse=True)
    entropy = -sum(p * math.log2(p) for p in probabilities if p)
    return Softmax(scaled, exponentials, total, probabilities, abs(entropy), best - second)


@dataclass(frozen=True)
class Centering:
    """The steps from a drawing to the network's input, each (28, 28) in [0, 1].

    `drawn` is the pad at that size, `fitted` the ink scaled to 20 x 20 and put in the middle.
    Moving its center of mass, `mass` (row, column), to the middle makes `centred`.
    """

    drawn: Tensor
    fitted: Tensor
    mass: tuple[float, float]
    centred: Tensor


def centering(drawn: list) -> Centering:
    """Follow strokes in the unit square to the network's input."""
    centred = torch.from_numpy(strokes.rasterize(drawn))
    fitted = functional.pad(torch.from_numpy(strokes.fit_to_box(drawn)), (strokes.GAP,) * 4)
    index = torch.arange(strokes.SIDE).float()
    weight = fitted.sum().clamp(min=1e-12)
    mass = (fitted.sum(1) @ index / weight).item(), (fitted.sum(0) @ index / weight).item()
    return Centering(_draw_unscaled(drawn), fitted, mass, centred)


def _draw_unscaled(drawn: list) -> Tensor:
    """Draw the pad as it is, at 28 x 28 pixels, with MNIST's pen."""
    fine, side = 8, strokes.SIDE
    sheet = Image.new("L", (side * fine,) * 2)
    pen = ImageDraw.Draw(sheet)
    radius = strokes.PEN * fine / 2
    for stroke in drawn:
        points = [(x * side * fine, y * side * fine) for x, y in stroke]
        pen.line(points, 255, round(2 * radius), "curve")
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    return torch.from_numpy(np.asarray(sheet.reduce(fine), np.float32) / 255)
