"""The layers of a network in order: their shapes, costs and activations."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnn.models import layers

Box = tuple[int, int, int, int]  # row, column, height, width


@dataclass(frozen=True)
class LayerSummary:
    """One stage of a network: what leaves it and what it costs for one picture."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@torch.inference_mode()
def summarize(network: nn.Sequential, image: Tensor) -> list[LayerSummary]:
    """All stages in their order, for a picture (1, C, H, W)."""
    found = []
    for name, module in network.named_children():
        image, cost = _run(module, image)
        size = sum(parameter.numel() for parameter in module.parameters())
        found.append(LayerSummary(name, _kind(module), tuple(image.shape[1:]), size, cost))
    return found


def _run(module: nn.Module, values: Tensor) -> tuple[Tensor, int]:
    """What a module answers, and the multiplications with additions that it takes."""
    if isinstance(module, nn.Sequential):
        costs = 0
        for part in module:
            values, cost = _run(part, values)
            costs += cost
        return values, costs
    answer = module(values)
    if isinstance(module, layers.Residual):
        return answer, _run(module.main, values)[1] + _run(module.shortcut, values)[1]
    if isinstance(module, nn.Conv2d):
        return answer, answer[0].numel() * module.weight[0].numel()
    return answer, module.weight.numel() if isinstance(module, nn.Linear) else 0


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        return f"{module.out_channels} filters of {height} x {width} x {module.in_channels}"
    if isinstance(module, nn.MaxPool2d):
        return f"greatest of {module.kernel_size} x {module.kernel_size}"
    if isinstance(module, layers.BLOCKS):
        count = sum(isinstance(part, nn.Conv2d) for part in module.modules())
        return f"block of {count} convolutions"
    return _KINDS.get(type(module), type(module).__name__)


_KINDS = {
    layers.ToColor32: "32 x 32 pixels of three colours",
    layers.Normalize: "from [0, 1] to about zero",
    layers.Scale: "all made smaller",
    nn.BatchNorm2d: "evens out each map",
    nn.ReLU: "keeps what is positive",
    nn.GELU: "keeps what is positive, softly",
    nn.Flatten: "maps laid out as one row",
    nn.Linear: "every input to every output",
    nn.Dropout: "idle unless training",
    nn.AdaptiveMaxPool2d: "greatest of each map",
    nn.AdaptiveAvgPool2d: "mean of each map",
}


def flat_layers(network: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    """The stages in their order, those within a block one by one: "block1.0"."""
    for name, module in network.named_children():
        if isinstance(module, nn.Sequential):
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in module.named_children())
        else:
            yield name, module
