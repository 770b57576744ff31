"""Metrics of a classifier: accuracy, loss, calibration and out-of-distribution detection.

All are functions of logits float32 (N, classes), which `inference.logits` computes once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from cnn.models.card import OodScore


@dataclass(frozen=True)
class Metrics:
    """Accuracy, accuracy per class and calibration error in [0, 1], and mean cross entropy."""

    accuracy: float
    loss: float
    recall: tuple[float, ...]
    ece: float


def compute_metrics(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Metrics:
    """Compute the metrics of logits (N, classes) divided by a temperature."""
    scaled = logits / temperature
    predictions = scaled.argmax(1)
    counts = confusion_matrix(labels, predictions, scaled.shape[1])
    return Metrics(
        accuracy=accuracy(scaled, labels),
        loss=functional.cross_entropy(scaled, labels).item(),
        recall=recall(counts),
        ece=expected_calibration_error(scaled.softmax(1), labels),
    )


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Compute the fraction of logits (N, classes) whose greatest is that of the label."""
    return (logits.argmax(1) == labels).float().mean().item()


def confusion_matrix(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """Count images by true class (row) and predicted class (column): int64 (classes, classes)."""
    cells = labels * classes + predictions
    return torch.bincount(cells, minlength=classes**2).view(classes, classes)


def recall(confusion: Tensor) -> tuple[float, ...]:
    """Compute the fraction of each true class that is predicted as such: accuracy per class."""
    return tuple((confusion.diagonal() / confusion.sum(1).clamp(min=1)).tolist())


def precision(confusion: Tensor) -> tuple[float, ...]:
    """Compute the fraction of each predicted class that is of this class."""
    return recall(confusion.T)


class Reliability(NamedTuple):
    """Images binned by confidence: their count, mean confidence and accuracy.

    Each is float32 (bins,); an empty bin is 0 in all three.
    """

    counts: Tensor
    confidence: Tensor
    accuracy: Tensor


def reliability(confidence: Tensor, correct: Tensor, bins: int = 15) -> Reliability:
    """Bin predictions by confidence, float (N,) in [0, 1]; `correct` is bool (N,)."""
    index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    counts, total, hits = (
        torch.zeros(bins).index_add_(0, index, values)
        for values in (torch.ones(len(correct)), confidence, correct.float())
    )
    return Reliability(counts, total / counts.clamp(min=1), hits / counts.clamp(min=1))


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Compute the expected calibration error of probabilities (N, classes), in [0, 1].

    The difference of confidence and accuracy in each bin, weighted by its count (Guo et al., "On
    calibration of modern neural networks", 2017).
    """
    confidence, predictions = probabilities.max(1)
    counts, confidence, accuracy = reliability(confidence, predictions == labels, bins)
    return (counts * (confidence - accuracy).abs()).sum().item() / len(labels)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature in [0.1, 10] with the least cross entropy on validation images.

    Guo et al. (2017).
    """
    candidates = torch.logspace(-1, 1, 401, dtype=torch.float64)
    losses = [functional.cross_entropy(logits / t, labels).item() for t in candidates.tolist()]
    return candidates[int(torch.tensor(losses).argmin())].item()


def energy_score(logits: Tensor) -> Tensor:
    """Compute the negative free energy, log sum exp, of logits (..., classes).

    The lower, the less likely is an image of the training distribution (Liu et al., "Energy-based
    out-of-distribution detection", 2020).
    """
    return logits.logsumexp(-1)


OOD_SCORES: dict[OodScore, Callable[[Tensor], Tensor]] = {"energy": energy_score}


def auroc(in_dist: Tensor, ood: Tensor) -> float:
    """Compute how well a score separates two sets: 1 perfectly, 0.5 not at all.

    The probability that an in-distribution score, (N,), is higher than one out of distribution,
    (M,), equal scores counting half.
    """
    ood = ood.sort().values
    lower = torch.searchsorted(ood, in_dist, right=False)
    equal = torch.searchsorted(ood, in_dist, right=True) - lower
    return ((lower + equal / 2).double().mean() / len(ood)).item()
