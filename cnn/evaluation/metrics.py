"""How good a network is: accuracy, loss, calibration, and what it takes for what.

Everything starts from logits float32 (N, classes), computed once by `logits`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnn.data.datasets import Dataset, Split
from cnn.evaluation.inference import logits


@dataclass(frozen=True)
class Metrics:
    """Shares in [0, 1] and the mean cross entropy, over one set of pictures."""

    accuracy: float
    loss: float
    per_class: tuple[float, ...]
    ece: float


def compute_metrics(answers: Tensor, labels: Tensor, temperature: float = 1.0) -> Metrics:
    """Accuracy, loss, accuracy a class and calibration error of logits (N, classes)."""
    scaled = answers / temperature
    right = scaled.argmax(1) == labels
    per_class = [right[labels == label].float().mean().item() for label in range(scaled.shape[1])]
    return Metrics(
        accuracy=right.float().mean().item(),
        loss=functional.cross_entropy(scaled, labels).item(),
        per_class=tuple(per_class),
        ece=expected_calibration_error(scaled.softmax(1), labels),
    )


def tta_accuracy(network: nn.Module, split: Split, dataset: Dataset) -> float | None:
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


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
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


def energy_score(answers: Tensor) -> Tensor:
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
