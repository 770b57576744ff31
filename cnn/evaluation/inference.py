"""Split off."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnn import hardware
from cnn.data.datasets import Dataset

BATCH = 500


def tta_views(images: Tensor, dataset: Dataset) -> list[Tensor]:
    """The ways to look at the same pictures whose answers may be averaged.

    Where a mirror image shows the same thing: as they are, moved by a pixel towards two
    corners, and the mirror images of the three. Otherwise only as they are.
    """
    if not dataset.mirrored:
        return [images]
    padded = functional.pad(images, (1,) * 4, mode="reflect")
    height, width = images.shape[-2:]
    moved = [images, padded[..., :height, :width], padded[..., 2:, 2:]]
    return moved + [view.flip(-1) for view in moved]


@torch.inference_mode()
def logits(
    network: nn.Module, images: Tensor, averaged_over: Dataset | None = None, quick: bool = False
) -> Tensor:
    """What the network answers: float32 (N, classes), on the CPU.

    `images` is uint8 or float in [0, 1], (N, C, H, W). With `averaged_over` the logits are the
    mean over the `views` of that data set. `quick` computes in the fastest precision of
    this machine instead of float32. The network is left in the mode it was in.
    """
    device = next(network.parameters()).device
    dtype = hardware.amp_dtype(device) if quick else torch.float32
    was_training = network.training
    network.eval()
    answers = []
    for batch in images.split(BATCH):
        batch = to_float(batch, device)
        looks = tta_views(batch, averaged_over) if averaged_over else [batch]
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            answers.append(torch.stack([network(look).float() for look in looks]).mean(0).cpu())
    network.train(was_training)
    return torch.cat(answers)


def to_float(images: Tensor, device: torch.device) -> Tensor:
    """uint8 or float pictures -> float32 in [0, 1] on the device, colours last in memory."""
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()
