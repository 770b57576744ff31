"""Which test pictures excite a filter most, and where."""

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cnn import datasets, evaluation, layers
from cnn.checkpoints import Checkpoint
from cnn.datasets import Split, named
from cnn.visualization import Frame
from cnn.walkthrough import leaves

LOOKED_AT = 2_000
SHOWN = 9


def looked_at(checkpoint: Checkpoint) -> Split:
    """The test pictures that are looked at; a `UserError` where they are not on this machine."""
    return datasets.test_pictures(named(checkpoint.card.dataset))[:LOOKED_AT]


class Exciting(NamedTuple):
    """For each filter the pictures in which it answers most strongly, and where it does.

    `pictures` are numbers into `looked_at`, int64 (filters, 9), the strongest first; `places`
    row and column on the filter's map, int64 (filters, 9, 2).
    """

    pictures: Tensor
    places: Tensor


@torch.inference_mode()
def most_exciting(
    checkpoint: Checkpoint, stage: str, progress: Callable[[float], object] | None = None
) -> Exciting:
    """What excites the filters of a convolution most; found once and then kept."""
    kept = _KEPT.setdefault(checkpoint.network, {})
    if stage not in kept:
        images, answers = looked_at(checkpoint).images, []
        for done, batch in enumerate(images.split(evaluation.BATCH), start=1):
            maps = _up_to(checkpoint.network, stage, batch.float() / 255)
            answers.append(maps.flatten(2).max(2))
            if progress:
                progress(min(1.0, done * evaluation.BATCH / len(images)))
        values, where = (torch.cat(parts) for parts in zip(*answers, strict=True))
        pictures = values.topk(SHOWN, dim=0).indices
        found, width = where.gather(0, pictures).T, maps.shape[3]
        kept[stage] = Exciting(pictures.T, torch.stack([found // width, found % width], 2))
    return kept[stage]


def frame(network: nn.Sequential, stage: str, side: int, row: int, column: int) -> Frame:
    """The part of a picture of `side` pixels that a number on a convolution's map depends on.

    Its row, column, height and width in pixels; it may reach over the picture's edge.
    """
    size, step, middle, pixels = 1.0, 1.0, 0.0, 1.0
    for name, module in leaves(network):
        if isinstance(module, layers.ToColor32):
            pixels = side / layers.LONGEST_INPUT
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
    for name, module in leaves(network):
        images = module(images)
        if name == stage:
            break
    return images


_KEPT: WeakKeyDictionary[nn.Module, dict[str, Exciting]] = WeakKeyDictionary()
