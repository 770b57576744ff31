"""How good a network is: accuracy, loss, calibration, and what it takes for what.

Everything starts from logits float32 (N, classes), computed once by `logits`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnn import hardware
from cnn.datasets import Dataset, Split

BATCH = 500


@dataclass(frozen=True)
class Measures:
    """Shares in [0, 1] and the mean cross entropy, over one set of pictures."""

    accuracy: float
    loss: float
    per_class: tuple[float, ...]
    ece: float


def views(images: Tensor, dataset: Dataset) -> list[Tensor]:
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
    dtype = hardware.precision(device) if quick else torch.float32
    was_training = network.training
    network.eval()
    answers = []
    for batch in images.split(BATCH):
        batch = to_float(batch, device)
        looks = views(batch, averaged_over) if averaged_over else [batch]
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            answers.append(torch.stack([network(look).float() for look in looks]).mean(0).cpu())
    network.train(was_training)
    return torch.cat(answers)


def to_float(images: Tensor, device: torch.device) -> Tensor:
    """uint8 or float pictures -> float32 in [0, 1] on the device, colours last in memory."""
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()


def measure(answers: Tensor, labels: Tensor, temperature: float = 1.0) -> Measures:
    """Accuracy, loss, accuracy a class and calibration error of logits (N, classes)."""
    scaled = answers / temperature
    right = scaled.argmax(1) == labels
    per_class = [right[labels == label].float().mean().item() for label in range(scaled.shape[1])]
    return Measures(
        accuracy=right.float().mean().item(),
        loss=functional.cross_entropy(scaled, labels).item(),
        per_class=tuple(per_class),
        ece=calibration_error(scaled.softmax(1), labels),
    )


def averaged_accuracy(network: nn.Module, split: Split, dataset: Dataset) -> float | None:
    """The share of pictures right by the mean over their `views`; None where there is only one."""
    if not dataset.mirrored:
        return None
    answers = logits(network, split.images, averaged_over=dataset)
    return (answers.argmax(1) == split.labels).float().mean().item()


class Reliability(NamedTuple):
    """Pictures in steps of confidence: how many, how sure on average, how often right.

    Each is float32 (bins,); a step without pictures is 0 in all three.
    """

    counts: Tensor
    confidence: Tensor
    accuracy: Tensor


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Reliability:
    """Confidence and accuracy in `bins` equal steps of the best class's probability."""
    confidence, guesses = probabilities.max(1)
    step = (confidence * bins).ceil().long().clamp(1, bins) - 1
    counts, sure, right = (
        torch.zeros(bins).index_add_(0, step, values)
        for values in (torch.ones(len(labels)), confidence, (guesses == labels).float())
    )
    return Reliability(counts, sure / counts.clamp(min=1), right / counts.clamp(min=1))


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, in [0, 1].

    The mean over `bins` equal steps of confidence, weighted by how many pictures fall into each
    (Guo et al., "On calibration of modern neural networks", 2017).
    """
    counts, confidence, accuracy = reliability(probabilities, labels, bins)
    return (counts * (confidence - accuracy).abs()).sum().item() / len(labels)


def fit_temperature(answers: Tensor, labels: Tensor) -> float:
    """The number that logits are divided by so that confidence matches accuracy.

    The one with the least cross entropy on pictures that were not learnt from (Guo et al., 2017).
    """
    candidates = torch.logspace(-1, 1, 401, dtype=torch.float64)
    losses = [functional.cross_entropy(answers / t, labels).item() for t in candidates.tolist()]
    return candidates[int(torch.tensor(losses).argmin())].item()


def familiarity(answers: Tensor) -> Tensor:
    """How much logits (N, classes) speak of a known kind of picture: the higher the more.

    The negative free energy, log sum exp (Liu et al., "Energy-based out-of-distribution
    detection", 2020).
    """
    return answers.logsumexp(-1)


def auroc(familiar: Tensor, strange: Tensor) -> float:
    """How well a score tells two kinds of pictures apart: 1 always, 0.5 not at all.

    The chance that a `familiar` picture has a higher score than a `strange` one, equal scores
    counting half; both are (N,), each of its own length.
    """
    strange = strange.sort().values
    higher = torch.searchsorted(strange, familiar, right=False)
    equal = torch.searchsorted(strange, familiar, right=True) - higher
    return ((higher + equal / 2).double().mean() / len(strange)).item()
