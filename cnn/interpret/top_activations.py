"""Top activating images: which test images activate a filter most, and where."""

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cnn.data import datasets
from cnn.data.datasets import Split, get_dataset
from cnn.evaluation import inference
from cnn.interpret.layers import activation_of
from cnn.models.checkpoints import Checkpoint

PROBE_SIZE = 2_000
TOP_IMAGES = 9


def probe_images(checkpoint: Checkpoint) -> Split:
    """Return the first 2,000 test images; a `UserError` where they are not on this machine."""
    return datasets.load_test(get_dataset(checkpoint.card.dataset))[:PROBE_SIZE]


class TopActivations(NamedTuple):
    """The images that activate each filter of a layer most, and where.

    `images` are indices into `probe_images`, int64 (filters, 9), the strongest first; `positions`
    are row and column on the filter's map, int64 (filters, 9, 2).
    """

    images: Tensor
    positions: Tensor


@torch.inference_mode()
def top_activations(
    checkpoint: Checkpoint, layer: str, on_progress: Callable[[float], object] | None = None
) -> TopActivations:
    """Find the top activating images of a convolution, once per network and layer.

    `on_progress` receives the fraction done, in [0, 1].
    """
    cache = _CACHE.setdefault(checkpoint.network, {})
    if layer not in cache:
        images, maxima = probe_images(checkpoint).images, []
        for number, batch in enumerate(images.split(inference.BATCH), start=1):
            maps = activation_of(checkpoint.network, batch.float() / 255, layer).output
            maxima.append(maps.flatten(2).max(2))
            if on_progress:
                on_progress(min(1.0, number * inference.BATCH / len(images)))
        values, where = (torch.cat(parts) for parts in zip(*maxima, strict=True))
        top = values.topk(TOP_IMAGES, dim=0).indices
        flat, width = where.gather(0, top).T, maps.shape[3]
        cache[layer] = TopActivations(top.T, torch.stack([flat // width, flat % width], 2))
    return cache[layer]


_CACHE: WeakKeyDictionary[nn.Module, dict[str, TopActivations]] = WeakKeyDictionary()
