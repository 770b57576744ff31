"""Which test pictures excite a filter most, and where."""

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cnn.data import datasets
from cnn.data.datasets import Split, get_dataset
from cnn.evaluation import inference
from cnn.interpret.layers import Box, flat_layers
from cnn.models import layers
from cnn.models.checkpoints import Checkpoint

PROBE_SIZE = 2_000
TOP_IMAGES = 9


def probe_images(checkpoint: Checkpoint) -> Split:
    """The test pictures that are looked at; a `UserError` where they are not on this machine."""
    return datasets.load_test(get_dataset(checkpoint.card.dataset))[:PROBE_SIZE]


class TopActivations(NamedTuple):
    """For each filter the pictures in which it answers most strongly, and where it does.

    `pictures` are numbers into `looked_at`, int64 (filters, 9), the strongest first; `places`
    row and column on the filter's map, int64 (filters, 9, 2).
    """

    pictures: Tensor
    places: Tensor


@torch.inference_mode()
def top_activations(
    checkpoint: Checkpoint, stage: str, progress: Callable[[float], object] | None = None
) -> TopActivations:
    """What excites the filters of a convolution most; found once and then kept."""
    kept = _KEPT.setdefault(checkpoint.network, {})
    if stage not in kept:
        images, answers = probe_images(checkpoint).images, []
        for done, batch in enumerate(images.split(inference.BATCH), start=1):
            maps = _up_to(checkpoint.network, stage, batch.float() / 255)
            answers.append(maps.flatten(2).max(2))
            if progress:
                progress(min(1.0, done * inference.BATCH / len(images)))
        values, where = (torch.cat(parts) for parts in zip(*answers, strict=True))
        pictures = values.topk(TOP_IMAGES, dim=0).indices
        found, width = where.gather(0, pictures).T, maps.shape[3]
        kept[stage] = TopActivations(pictures.T, torch.stack([found // width, found % width], 2))
    return kept[stage]


def receptive_field(network: nn.Sequential, stage: str, side: int, row: int, column: int) -> Box:
    """The part of a picture of `side` pixels that a number on a convolution's map depends on.

    Its row, column, height and width in pixels; it may reach over the picture's edge.
    """
    size, step, middle, pixels = 1.0, 1.0, 0.0, 1.0
    for name, module in flat_layers(network):
        if isinstance(module, layers.ToColor32):
            pixels = side / layers.COLOR_SIDE
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
            wide, stride, edge = (
                _one(getattr(module, n)) for n in ("kernel_size", "stride", "padding")
            )
            middle += ((wide - 1) / 2 - edge) * step
            size += (wide - 1) * step
            step *= stride
        if name == stage:
            break
    top, left = (pixels * (middle + at * step - (size - 1) / 2) for at in (row, column))
    return round(top), round(left), round(pixels * size), round(pixels * size)


def _one(sides: int | tuple[int, int]) -> int:
    return sides if isinstance(sides, int) else sides[0]


def _up_to(network: nn.Sequential, stage: str, images: Tensor) -> Tensor:
    for name, module in flat_layers(network):
        images = module(images)
        if name == stage:
            break
    return images


_KEPT: WeakKeyDictionary[nn.Module, dict[str, TopActivations]] = WeakKeyDictionary()
