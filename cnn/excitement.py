"""Which test pictures excite a filter most."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cnn import datasets, evaluation
from cnn.checkpoints import Checkpoint
from cnn.datasets import Split, named
from cnn.walkthrough import leaves

LOOKED_AT = 2_000
SHOWN = 9


def looked_at(checkpoint: Checkpoint) -> Split:
    """The test pictures that are looked at; a `UserError` where they are not on this machine."""
    return datasets.test_pictures(named(checkpoint.card.dataset))[:LOOKED_AT]


@torch.inference_mode()
def most_exciting(
    checkpoint: Checkpoint, stage: str, progress: Callable[[float], object] | None = None
) -> Tensor:
    """For each filter of a convolution the pictures in which it answers most strongly somewhere.

    Numbers into `looked_at`, int64 (filters, 9), the strongest first; found once and then kept.
    """
    kept = _KEPT.setdefault(checkpoint.network, {})
    if stage not in kept:
        images, answers = looked_at(checkpoint).images, []
        for done, batch in enumerate(images.split(evaluation.BATCH), start=1):
            answers.append(_up_to(checkpoint.network, stage, batch.float() / 255).amax((2, 3)))
            if progress:
                progress(min(1.0, done * evaluation.BATCH / len(images)))
        kept[stage] = torch.cat(answers).topk(SHOWN, dim=0).indices.T
    return kept[stage]


def _up_to(network: nn.Sequential, stage: str, images: Tensor) -> Tensor:
    for name, module in leaves(network):
        images = module(images)
        if name == stage:
            break
    return images


_KEPT: WeakKeyDictionary[nn.Module, dict[str, Tensor]] = WeakKeyDictionary()
