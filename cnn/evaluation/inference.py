"""The one way from images to logits, with named modes of test-time augmentation."""

from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnn.data.datasets import Dataset
from cnn.models.card import TTA

BATCH = 500
TTA_MODES: tuple[TTA, ...] = get_args(TTA)


def tta_mode(dataset: Dataset) -> TTA:
    """Return the mode in which networks for a data set are evaluated and predict."""
    return "flip+translate" if dataset.flip_invariant else "none"


def tta_views(images: Tensor, tta: TTA) -> list[Tensor]:
    """Return the views of images (N, C, H, W) whose logits are averaged, the images first.

    "none" has one view, "flip" adds the mirror images, and "flip+translate" the images moved by a
    pixel towards two corners and the mirror images of all three.
    """
    views = [images]
    if tta == "flip+translate":
        padded = functional.pad(images, (1,) * 4, mode="reflect")
        height, width = images.shape[-2:]
        views += [padded[..., :height, :width], padded[..., 2:, 2:]]
    if tta != "none":
        views += [view.flip(-1) for view in views]
    return views


def logits(
    network: nn.Module, images: Tensor, tta: TTA = "none", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Compute logits, float32 (N, classes) on the CPU: the mean over the views of mode `tta`.

    `images` is uint8 or float in [0, 1], (N, C, H, W). `dtype` is the number format of
    convolutions. The network is evaluated where it lies and left in the mode it was in.
    """
    return logits_by_view(network, images, tta, dtype).mean(0)


@torch.inference_mode()
def logits_by_view(
    network: nn.Module,
    images: Tensor,
    tta: TTA,
    dtype: torch.dtype = torch.float32,
    on_progress: Callable[[int], object] | None = None,
) -> Tensor:
    """Compute the logits of each view of images: float32 (views, N, classes); else as `logits`.

    `on_progress` receives the number of images of each batch that is done.
    """
    device = next(network.parameters()).device
    was_training = network.training
    if was_training:
        network.eval()
    outputs = []
    for batch in images.split(BATCH):
        views = tta_views(to_float(batch, device), tta)
        count = len(views)
        if len(batch) * count <= BATCH:
            views = [torch.cat(views)]  # one call costs less than six
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            output = torch.cat([network(view).float() for view in views])
        outputs.append(output.view(count, len(batch), -1).cpu())
        if on_progress:
            on_progress(len(batch))
    if was_training:
        network.train()
    return torch.cat(outputs, 1)


def to_float(images: Tensor, device: torch.device) -> Tensor:
    """Convert uint8 or float images to float32 in [0, 1] on a device, channels last in memory."""
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()
