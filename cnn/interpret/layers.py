"""The layers of a network in order: activations, shapes, costs and receptive fields."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cnn import UserError
from cnn.models import layers

Box = tuple[int, int, int, int]  # row, column, height, width


class Activation(NamedTuple):
    """A layer with its input and its output, both with a batch axis."""

    name: str
    layer: nn.Module
    input: Tensor
    output: Tensor


def activations(network: nn.Sequential, images: Tensor, flat: bool = False) -> Iterator[Activation]:
    """Run the layers of a network one by one on images (N, C, H, W); they are left as they are.

    With `flat` the layers inside a block of `nn.Sequential` come one by one, as "block1.0".
    """
    values = images
    for name, layer in flat_layers(network) if flat else network.named_children():
        values, before = layer(values), values
        yield Activation(name, layer, before, values)


def activation_of(network: nn.Sequential, images: Tensor, name: str) -> Activation:
    """Run a network up to the layer of that name, which may lie inside a block."""
    flat = "." in name
    for activation in activations(network, images, flat):
        if activation.name == name:
            return activation
    names = [known for known, _ in (flat_layers(network) if flat else network.named_children())]
    raise UserError(f"There is no layer called {name!r}. Choose: {', '.join(names)}.")


@torch.inference_mode()
def feature_maps(network: nn.Sequential, image: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the feature maps (C, H, W) of each layer that has some.

    `image` is (1, C, H, W).
    """
    for name, _, _, output in activations(network, image):
        if output.dim() == 4:
            yield name, output[0].float().cpu()


def first_maps(
    network: nn.Sequential, image: Tensor, count: int
) -> Iterator[tuple[str, torch.Size, Tensor]]:
    """Yield the name, the shape and the first maps of each activation function or block.

    `image` is (1, C, H, W); the shape is that of all maps, (C, H, W). The maps come as uint8, at
    most (count, H, W): 0 for zero and less, 255 for the layer's greatest value among them.
    """
    modules = dict(network.named_children())
    for name, maps in feature_maps(network, image):
        if isinstance(modules[name], (nn.ReLU, nn.GELU, *layers.BLOCKS)):
            first = maps[:count].clamp(min=0)
            levels = (255 * first / first.max().clamp(min=1e-12)).round().byte()
            yield name, maps.shape, levels


def flat_layers(network: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers in order, those inside a block of `nn.Sequential` one by one: "block1.0"."""
    for name, module in network.named_children():
        if isinstance(module, nn.Sequential):
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in module.named_children())
        else:
            yield name, module


class ReceptiveField(NamedTuple):
    """The parts of an image that the activations of a convolution depend on, in pixels.

    The first one starts at `start` in both directions, is `size` wide and high, and the next one is
    `step` further.
    """

    start: float
    step: float
    size: float

    def box(self, row: int, column: int) -> Box:
        """Return the part of one activation; it may reach over the image's edge."""
        top, left = (round(self.start + self.step * index) for index in (row, column))
        return top, left, round(self.size), round(self.size)


def receptive_field(network: nn.Sequential, layer: str, side: int) -> ReceptiveField:
    """Return the receptive field of a convolution, for images of `side` pixels.

    After Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks"
    (2019).
    """
    size, step, middle, pixels = 1.0, 1.0, 0.0, 1.0
    for name, module in flat_layers(network):
        if isinstance(module, layers.ToColor32):
            pixels = side / layers.COLOR_SIDE
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
            kernel, stride, padding = (
                side_of(getattr(module, n)) for n in ("kernel_size", "stride", "padding")
            )
            middle += ((kernel - 1) / 2 - padding) * step
            size += (kernel - 1) * step
            step *= stride
        if name == layer:
            break
    return ReceptiveField(pixels * (middle - (size - 1) / 2), pixels * step, pixels * size)


def side_of(sides: int | tuple[int, int]) -> int:
    """Return the side of a square that a layer keeps as one number or as two."""
    return sides if isinstance(sides, int) else sides[0]


@dataclass(frozen=True)
class LayerSummary:
    """A layer: what it does, the shape of its output, and its cost for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@torch.inference_mode()
def summarize(network: nn.Sequential, image: Tensor) -> list[LayerSummary]:
    """Summarize all layers in order, for an image (1, C, H, W)."""
    return [
        LayerSummary(
            name=name,
            kind=_kind(layer),
            shape=tuple(output.shape[1:]),
            parameters=sum(parameter.numel() for parameter in layer.parameters()),
            multiply_adds=_multiply_adds(layer, before)[1],
        )
        for name, layer, before, output in activations(network, image)
    ]


def _multiply_adds(layer: nn.Module, values: Tensor) -> tuple[Tensor, int]:
    """Return a layer's output and the multiply-adds that it takes."""
    if isinstance(layer, nn.Sequential):
        total = 0
        for part in layer:
            values, count = _multiply_adds(part, values)
            total += count
        return values, total
    output = layer(values)
    if isinstance(layer, layers.Residual):
        paths = (layer.main, layer.shortcut)
        return output, sum(_multiply_adds(path, values)[1] for path in paths)
    if isinstance(layer, nn.Conv2d):
        return output, output[0].numel() * layer.weight[0].numel()
    return output, layer.weight.numel() if isinstance(layer, nn.Linear) else 0


def _kind(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        height, width = layer.kernel_size
        return f"{layer.out_channels} filters of {height} x {width} x {layer.in_channels}"
    if isinstance(layer, nn.MaxPool2d):
        return f"maximum of {layer.kernel_size} x {layer.kernel_size}"
    if isinstance(layer, layers.BLOCKS):
        count = sum(isinstance(part, nn.Conv2d) for part in layer.modules())
        return f"block of {count} convolutions"
    return _KINDS.get(type(layer), type(layer).__name__)


_KINDS = {
    layers.ToColor32: "resized to 32 x 32 pixels of three channels",
    layers.Normalize: "normalized to zero mean and unit deviation",
    layers.Scale: "multiplied by a constant",
    nn.BatchNorm2d: "each map normalized, scaled and shifted",
    nn.ReLU: "negative values become zero",
    nn.GELU: "negative values become nearly zero",
    nn.Flatten: "maps as one vector",
    nn.Linear: "every input times a weight for every output",
    nn.Dropout: "does nothing after training",
    nn.AdaptiveMaxPool2d: "maximum of each map",
    nn.AdaptiveAvgPool2d: "mean of each map",
}
