"""How a network does on a whole set of pictures: what it takes for what, and how surely."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cnn.data import datasets
from cnn.data.datasets import Split, get_dataset
from cnn.evaluation import inference, metrics, prediction
from cnn.evaluation.metrics import Reliability
from cnn.models.checkpoints import Checkpoint

OVERFITTING_GAP = (
    0.03  # of accuracy: by so much training is ahead of validation where a network overfits
)
TIMED_RUNS = 15


@dataclass(frozen=True)
class EvaluationReport:
    """What a network says of every picture of a set.

    `probabilities` is float32 (N, classes), at the network's own temperature. Pictures are
    spoken of by their numbers in `split`, int64 (n,).
    """

    classes: tuple[str, ...]
    split: Split
    probabilities: Tensor

    @cached_property
    def guesses(self) -> Tensor:
        """The class taken for the most likely, by its number: int64 (N,)."""
        return self.probabilities.argmax(1)

    @cached_property
    def confidence(self) -> Tensor:
        """The probability of that class: float32 (N,)."""
        return self.probabilities.amax(1)

    @cached_property
    def confusion(self) -> Tensor:
        """How many pictures of a class (row) were taken for a class (column): int64, square."""
        count = len(self.classes)
        cells = self.split.labels * count + self.guesses
        return torch.bincount(cells, minlength=count**2).view(count, count)

    @property
    def accuracy(self) -> float:
        """The share of all pictures that it has right."""
        return (self.guesses == self.split.labels).float().mean().item()

    @property
    def per_class(self) -> tuple[float, ...]:
        """The share of each class's pictures that it has right."""
        found = self.confusion
        return tuple((found.diagonal() / found.sum(1).clamp(min=1)).tolist())

    @property
    def reliability(self) -> Reliability:
        """How often it is right where it is so sure, in steps of confidence."""
        return metrics.reliability(self.probabilities, self.split.labels)

    def cell(self, actual: int | None = None, taken_for: int | None = None) -> Tensor:
        """The pictures of a class taken for another, or for itself, the surest first.

        Without a class it is all of them, and without another all that it is not.
        """
        chosen = self.guesses != self.split.labels
        if taken_for is not None:
            chosen = self.guesses == taken_for
        if actual is not None:
            chosen &= self.split.labels == actual
        numbers = chosen.nonzero()[:, 0]
        return numbers[self.confidence[numbers].argsort(descending=True, stable=True)]

    def mistakes(self, count: int) -> Tensor:
        """The pictures that it has wrong, those first of which it is surest."""
        return self.cell()[:count]

    def examples(self, count: int, seed: int = 0) -> Tensor:
        """Pictures at random, for another seed others."""
        order = torch.randperm(len(self.split), generator=torch.Generator().manual_seed(seed))
        return order[:count]


def evaluate(
    checkpoint: Checkpoint, split: Split, progress: Callable[[float], object] | None = None
) -> EvaluationReport:
    """Ask a network about every picture; `progress` hears the share done, in [0, 1]."""
    answers = []
    for done, batch in enumerate(split.images.split(inference.BATCH), start=1):
        answers.append(inference.logits(checkpoint.network, batch, quick=True))
        if progress:
            progress(min(1.0, done * inference.BATCH / len(split)))
    probabilities = (torch.cat(answers) / checkpoint.card.temperature).softmax(1)
    return EvaluationReport(checkpoint.card.classes, split, probabilities)


def evaluate_test_set(
    checkpoint: Checkpoint, progress: Callable[[float], object] | None = None
) -> EvaluationReport:
    """The `examine` of a network on its data set's test pictures, made once and then kept.

    A `UserError` says what to do where the pictures are not on this machine.
    """
    if checkpoint.network not in _REPORTS:
        split = datasets.load_test(get_dataset(checkpoint.card.dataset))
        _REPORTS[checkpoint.network] = evaluate(checkpoint, split, progress)
    return _REPORTS[checkpoint.network]


def size_in_bytes(network: nn.Module) -> int:
    """What a network's numbers take in memory."""
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def seconds_per_image(checkpoint: Checkpoint) -> float:
    """How long an answer takes on this machine: the median of a few, measured once."""
    if checkpoint.network not in _SECONDS:
        dataset = get_dataset(checkpoint.card.dataset)
        image = torch.full((1, dataset.channels, dataset.size, dataset.size), 0.5)
        times = []
        for _ in range(TIMED_RUNS):
            start = time.perf_counter()
            prediction.predict(checkpoint, image)
            times.append(time.perf_counter() - start)
        _SECONDS[checkpoint.network] = statistics.median(times)
    return _SECONDS[checkpoint.network]


_REPORTS: WeakKeyDictionary[nn.Module, EvaluationReport] = WeakKeyDictionary()
_SECONDS: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()


def latency(checkpoint: Checkpoint) -> float | None:
    """What `seconds_a_picture` has measured; None before it was asked."""
    return _SECONDS.get(checkpoint.network)


def generalization_gap(history: list[dict[str, float]]) -> str:
    """A sentence on how training and validation compare, from a row for each epoch."""
    if not history:
        return "Stopped before the first epoch was over."
    gaps = [row["train_accuracy"] - row["validation_accuracy"] for row in history]
    if gaps[-1] > OVERFITTING_GAP:
        since = next(n for n in range(len(gaps)) if min(gaps[n:]) > OVERFITTING_GAP) + 1
        return (
            f"Since epoch {since} it knows its training pictures better than new ones, in the end "
            f"by {100 * gaps[-1]:.1f} points. More augmentation or dropout narrows that."
        )
    if history[-1]["train_accuracy"] < 0.6:
        return "It is still learning. Give it more epochs."
    return "It does as well on new pictures as it did on its training pictures in its last epoch."
