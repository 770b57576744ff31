"""The arithmetic of a network with the visitor's numbers: convolution, softmax, centering."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional

from cnn.data import strokes
from cnn.interpret.layers import activation_of, flat_layers
from cnn.models import layers

KEEPS_MAPS_APART = (nn.BatchNorm2d, nn.ReLU, nn.GELU, nn.MaxPool2d)


@dataclass(frozen=True)
class ConvBreakdown:
    """How the convolution `layer` computes its activation at `row`, `column` of map `channel`.

    The products of `patch` and `filter`, both (C, k, k), and `bias` sum to `total`. `inputs` is the
    layer's input, (C, H, W), and `map` the whole map, (H, W). The filter moves on by `stride`; the
    first patch reaches over the edge of the inputs by `padding`, where there are zeros.
    """

    layer: str
    channel: int
    row: int
    column: int
    patch: Tensor
    filter: Tensor
    bias: float
    total: float
    inputs: Tensor
    map: Tensor
    stride: int
    padding: int


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


def map_layers_after(network: nn.Sequential, conv: str) -> list[tuple[str, nn.Module]]:
    """Return the layers after a convolution that change each of its maps by itself, in order.

    They are batch norm, activations and max pooling, up to the first layer of another kind.
    """
    flat = list(flat_layers(network))
    start = [name for name, _ in flat].index(conv) + 1
    following = ((name, layer) for name, layer in flat[start:] if type(layer) is not nn.Dropout)
    return list(itertools.takewhile(lambda pair: isinstance(pair[1], KEEPS_MAPS_APART), following))


@torch.inference_mode()
def break_down_conv(
    network: nn.Sequential,
    image: Tensor,
    layer: str,
    channel: int | None = None,
    row: int | None = None,
    column: int | None = None,
) -> ConvBreakdown:
    """Compute one activation of a convolution as patch times filter, summed.

    `image` is (1, C, H, W). A channel, row or column outside the maps is moved inside; without a
    channel it is the map with the greatest value, without row and column that value's position.
    """
    _, conv, inputs, maps = activation_of(network, image, layer)
    assert isinstance(conv, nn.Conv2d) and not isinstance(conv.padding, str)
    if channel is None:
        channel = int(maps[0].amax((1, 2)).argmax())
    channel = _clamp(channel, maps.shape[1])
    values = maps[0, channel]
    height, width = values.shape
    if row is None or column is None:
        row, column = divmod(int(values.argmax()), width)
    row, column = _clamp(row, height), _clamp(column, width)

    (tall, wide), (stride, _), (padding, _) = conv.kernel_size, conv.stride, conv.padding
    top, left = row * stride, column * stride
    padded = functional.pad(inputs[0], (padding,) * 4)
    patch = padded[:, top : top + tall, left : left + wide]
    weights = conv.weight[channel]
    bias = 0.0 if conv.bias is None else conv.bias[channel].item()
    return ConvBreakdown(
        layer=layer,
        channel=channel,
        row=row,
        column=column,
        patch=patch,
        filter=weights,
        bias=bias,
        total=(patch * weights).sum().item() + bias,
        inputs=inputs[0],
        map=values,
        stride=stride,
        padding=padding,
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


def centering(drawn: strokes.Strokes) -> Centering:
    """Follow strokes in the unit square to the network's input."""
    centred = torch.from_numpy(strokes.rasterize(drawn))
    fitted = functional.pad(torch.from_numpy(strokes.fit_to_box(drawn)), (strokes.GAP,) * 4)
    index = torch.arange(strokes.SIDE).float()
    weight = fitted.sum().clamp(min=1e-12)
    mass = (fitted.sum(1) @ index / weight).item(), (fitted.sum(0) @ index / weight).item()
    return Centering(_draw_unscaled(drawn), fitted, mass, centred)


def _draw_unscaled(drawn: strokes.Strokes) -> Tensor:
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
