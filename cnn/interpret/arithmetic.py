"""The arithmetic of a network, one number at a time, with the visitor's own picture in it."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional

from cnn.data import strokes
from cnn.interpret.layers import flat_layers
from cnn.models import layers

TOP_CHANNELS = 3


@dataclass(frozen=True)
class ChannelContribution:
    """One channel's part of a convolution: `patch` and `weights` are (k, k), `sum` their total."""

    channel: int
    patch: Tensor
    weights: Tensor
    sum: float


@dataclass(frozen=True)
class ConvBreakdown:
    """How a convolution `stage` made the number at `row`, `column` of map `number`.

    `strongest` are the channels that count most and `rest` the sum of all others; with `bias`
    they make `total`. `filter` is (C, k, k), `inputs` what it looks at, (C, H, W), and `map`
    all that it makes of it, (H, W). `frame` is the patch on the inputs: row, column, height,
    width, and may reach over its edge, where there are zeros. The filter moves on by `step`.
    """

    stage: str
    number: int
    row: int
    column: int
    strongest: tuple[ChannelContribution, ...]
    rest: float
    bias: float
    total: float
    filter: Tensor
    inputs: Tensor
    map: Tensor
    frame: tuple[int, int, int, int]
    step: int

    def over(self, row: int, column: int) -> tuple[int, int]:
        """The place on the map whose patch has that pixel of the inputs in its middle."""
        top, left, height, width = self.frame
        edge = self.row * self.step - top, self.column * self.step - left
        return (
            (row + edge[0] - height // 2) // self.step,
            (column + edge[1] - width // 2) // self.step,
        )


def producing_conv(network: nn.Sequential, stage: str | None = None) -> str | None:
    """The convolution whose filters number the maps of a stage: it, or the last one before it.

    Without a stage it is the first one, and within a block of convolutions the last. None where
    there is none yet, or where two ways were added to each other.
    """
    found, reached = None, False
    for name, module in flat_layers(network):
        at_stage = stage in (name, name.split(".")[0])
        if reached and not at_stage:
            return found
        reached = reached or at_stage
        if isinstance(module, nn.Conv2d):
            found = name
        elif isinstance(module, layers.BLOCKS):
            found = None
        if stage is None and found:
            return found
    return found if reached else None


@torch.inference_mode()
def break_down_conv(
    network: nn.Sequential,
    image: Tensor,
    stage: str,
    number: int = 0,
    row: int | None = None,
    column: int | None = None,
) -> ConvBreakdown:
    """Patch times filter, summed: one number of one map of the convolution called `stage`.

    `image` is (1, C, H, W). A `number`, `row` or `column` that lies outside is moved inside;
    without row and column it is the place of the map's greatest value.
    """
    inputs, module = image, network
    for name, module in flat_layers(network):
        if name == stage:
            break
        inputs = module(inputs)
    maps = module(inputs)[0]
    number = _within(number, maps.shape[0])
    found = maps[number]
    height, width = found.shape
    if row is None or column is None:
        row, column = divmod(int(found.argmax()), width)
    row, column = _within(row, height), _within(column, width)

    (tall, wide), (step, _), (edge, _) = module.kernel_size, module.stride, module.padding
    top, left = row * step, column * step
    patches = functional.pad(inputs[0], (edge,) * 4)[:, top : top + tall, left : left + wide]
    weights = module.weight[number]
    sums = (patches * weights).sum((1, 2))
    order = sums.abs().argsort(descending=True)[:TOP_CHANNELS].tolist()
    if len(sums) <= TOP_CHANNELS:
        order.sort()
    bias = 0.0 if module.bias is None else module.bias[number].item()
    return ConvBreakdown(
        stage=stage,
        number=number,
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
        map=found,
        frame=(top - edge, left - edge, tall, wide),
        step=step,
    )


def _within(at: float, count: int) -> int:
    return min(max(int(at), 0), count - 1)


@dataclass(frozen=True)
class Softmax:
    """Logits turned into probabilities, with each step kept.

    `entropy` is in bits: 0 for certainty, log2 of the classes for no idea. `margin` is the
    best probability less the second.
    """

    scaled: tuple[float, ...]
    exponentials: tuple[float, ...]
    sum: float
    probabilities: tuple[float, ...]
    entropy: float
    margin: float


def softmax(logits: tuple[float, ...], temperature: float) -> Softmax:
    """Divide by the temperature, subtract the greatest, exponentiate, divide by the sum.

    Subtracting the greatest changes no probability and keeps the exponentials within [0, 1].
    """
    scaled = tuple((logit - max(logits)) / temperature for logit in logits)
    exponentials = tuple(map(math.exp, scaled))
    total = sum(exponentials)
    shares = tuple(value / total for value in exponentials)
    best, second, *_ = sorted(shares, reverse=True)
    entropy = -sum(share * math.log2(share) for share in shares if share)
    return Softmax(scaled, exponentials, total, shares, abs(entropy), best - second)


@dataclass(frozen=True)
class Centering:
    """What becomes of a drawing, each (28, 28) in [0, 1].

    `drawn` is the pad seen at that size, `fitted` the ink enlarged to 20 x 20 and put in the
    middle. Moving its centre of mass, `mass` (row, column), to the middle makes `centred`.
    """

    drawn: Tensor
    fitted: Tensor
    mass: tuple[float, float]
    centred: Tensor


def centering(drawn: list) -> Centering:
    """Follow strokes, which lie in the unit square, on their way to the network."""
    centred = torch.from_numpy(strokes.rasterize(drawn))
    fitted = functional.pad(torch.from_numpy(strokes.fit_to_box(drawn)), (strokes.GAP,) * 4)
    places = torch.arange(strokes.SIDE).float()
    weight = fitted.sum().clamp(min=1e-12)
    mass = (fitted.sum(1) @ places / weight).item(), (fitted.sum(0) @ places / weight).item()
    return Centering(_draw_unscaled(drawn), fitted, mass, centred)


def _draw_unscaled(drawn: list) -> Tensor:
    """The pad as it is, seen through 28 x 28 pixels, with MNIST's pen."""
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
