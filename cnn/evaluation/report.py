"""The evaluation report of a network on a test set: confusion, calibration, mistakes."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cnn import UserError
from cnn.data import datasets
from cnn.data.datasets import Dataset, Split, get_dataset
from cnn.data.ood import ood_images
from cnn.evaluation import inference, metrics, prediction
from cnn.evaluation.metrics import Reliability
from cnn.models.checkpoints import Checkpoint, TestSetPredictions

OOD_FPR = 0.05  # validation images that count as out of distribution
OVERFITTING_GAP = 0.03  # in accuracy, between training and validation
TIMED_RUNS = 15


@dataclass(frozen=True)
class EvaluationReport:
    """What a network predicts of each image of a set, by index.

    `labels` and `predictions` are int64 (N,), `confidence` is the calibrated probability of each
    prediction, float32 (N,). `images`, uint8 (N, C, H, W), are None where they are not on this
    machine.
    """

    classes: tuple[str, ...]
    labels: Tensor
    predictions: Tensor
    confidence: Tensor
    images: Tensor | None = None

    @cached_property
    def confusion(self) -> Tensor:
        """Images by true class (row) and predicted class (column): int64 (classes, classes)."""
        return metrics.confusion_matrix(self.labels, self.predictions, len(self.classes))

    @property
    def accuracy(self) -> float:
        """The fraction of all images that is predicted correctly."""
        return (self.predictions == self.labels).float().mean().item()

    @property
    def recall(self) -> tuple[float, ...]:
        """The recall of each class: the fraction of its images that is predicted correctly."""
        return metrics.recall(self.confusion)

    @property
    def precision(self) -> tuple[float, ...]:
        """The fraction of the images predicted as each class that are of this class."""
        return metrics.precision(self.confusion)

    @property
    def reliability(self) -> Reliability:
        """Accuracy by confidence."""
        return metrics.reliability(self.confidence, self.predictions == self.labels)

    def cell_indices(self, true: int | None = None, predicted: int | None = None) -> Tensor:
        """Indices of the images in a cell of the confusion matrix, the most confident first.

        Without a true class those of every class; without a predicted class all mistakes.
        """
        chosen = self.predictions != self.labels
        if predicted is not None:
            chosen = self.predictions == predicted
        if true is not None:
            chosen = chosen & (self.labels == true)
        indices = chosen.nonzero()[:, 0]
        return indices[self.confidence[indices].argsort(descending=True, stable=True)]

    def mistakes(self, count: int) -> Tensor:
        """Indices of the most confident mistakes."""
        return self.cell_indices()[:count]

    def examples(self, count: int, seed: int = 0) -> Tensor:
        """Indices of random images; another seed gives others."""
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(seed))
        return order[:count]


def evaluate(
    checkpoint: Checkpoint, split: Split, on_progress: Callable[[float], object] | None = None
) -> EvaluationReport:
    """Predict every image of a split; `on_progress` receives the fraction done, in [0, 1]."""
    network, card = checkpoint.network, checkpoint.card
    outputs = []
    for number, batch in enumerate(split.images.split(inference.BATCH), start=1):
        outputs.append(inference.logits(network, batch, card.tta))
        if on_progress:
            on_progress(min(1.0, number * inference.BATCH / len(split)))
    predictions = summarize_predictions(torch.cat(outputs), split.labels, card.temperature)
    return EvaluationReport(card.classes, *predictions, split.images)


def summarize_predictions(logits: Tensor, labels: Tensor, temperature: float) -> TestSetPredictions:
    """Reduce logits (N, classes) to what a checkpoint keeps of the test set."""
    confidence, classes = (logits / temperature).softmax(1).max(1)
    return TestSetPredictions(labels, classes, confidence)


def evaluate_for_card(
    network: nn.Module,
    dataset: Dataset,
    validation: Split,
    test: Split,
    augmented: Tensor | None = None,
    on_progress: Callable[[float], object] | None = None,
) -> tuple[dict[str, Any], TestSetPredictions]:
    """Evaluate a trained network; return the model card's figures by field, and the predictions.

    The temperature and the out-of-distribution threshold are fitted on the validation images and,
    where given, on `augmented` copies of them, uint8 of the same shape, so that 5 % of all these
    count as out of distribution. `on_progress` receives the fraction of all images done, in [0, 1].
    """
    tta, done = inference.tta_mode(dataset), 0
    images, labels = validation
    if augmented is not None:
        images, labels = torch.cat([images, augmented]), labels.repeat(2)
    total = len(images) + len(test)

    def count(images: int) -> None:
        nonlocal done
        done += images
        if on_progress:
            on_progress(done / total)

    views = inference.logits_by_view(network, images, tta, on_progress=count)
    validation_logits = views.mean(0)
    test_views = inference.logits_by_view(network, test.images, tta, on_progress=count)
    test_logits = test_views.mean(0)
    temperature = metrics.fit_temperature(validation_logits, labels)
    single = metrics.compute_metrics(test_views[0], test.labels)
    averaged = metrics.compute_metrics(test_logits, test.labels)
    calibrated = metrics.compute_metrics(test_logits, test.labels, temperature)
    in_dist = metrics.energy_score(test_logits)
    figures = {
        "validation_accuracy": metrics.accuracy(views[0, : len(validation)], validation.labels),
        "test_accuracy": single.accuracy,
        "test_accuracy_tta": None if tta == "none" else averaged.accuracy,
        "test_loss": single.loss,
        "tta": tta,
        "ece": calibrated.ece,
        "ece_uncalibrated": averaged.ece,
        "temperature": temperature,
        "ood_score": "energy",
        "ood_threshold": metrics.energy_score(validation_logits).quantile(OOD_FPR).item(),
        "ood_auroc": {
            kind: metrics.auroc(
                in_dist, metrics.energy_score(inference.logits(network, images, tta))
            )
            for kind, images in ood_images(dataset).items()
        },
    }
    return figures, summarize_predictions(test_logits, test.labels, temperature)


def evaluate_test_set(
    checkpoint: Checkpoint, on_progress: Callable[[float], object] | None = None
) -> EvaluationReport:
    """Report on a network's test set: from its file's predictions, else evaluated once and cached.

    A `UserError` says what to do where neither the predictions nor the images are there.
    """
    if checkpoint.network not in _REPORTS:
        _REPORTS[checkpoint.network] = _report(checkpoint, on_progress)
    return _REPORTS[checkpoint.network]


def _report(
    checkpoint: Checkpoint, on_progress: Callable[[float], object] | None
) -> EvaluationReport:
    dataset, known = get_dataset(checkpoint.card.dataset), checkpoint.predictions
    try:
        split = datasets.load_test(dataset)
    except UserError:
        if known is None:
            raise
        return EvaluationReport(checkpoint.card.classes, *known)
    if known is None or not torch.equal(known.labels, split.labels):
        return evaluate(checkpoint, split, on_progress)
    return EvaluationReport(checkpoint.card.classes, *known, split.images)


def seconds_per_image(checkpoint: Checkpoint) -> float:
    """Measure the latency of a prediction on this machine, once: the median of 15."""
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
    """Return what `seconds_per_image` has measured; None before it was called."""
    return _SECONDS.get(checkpoint.network)


def generalization_gap(history: list[dict[str, float]]) -> str:
    """Compare training and validation accuracy, from a row per epoch, in a sentence."""
    if not history:
        return "Stopped before the end of the first epoch."
    gaps = [row["train_accuracy"] - row["validation_accuracy"] for row in history]
    if gaps[-1] > OVERFITTING_GAP:
        since = next(n for n in range(len(gaps)) if min(gaps[n:]) > OVERFITTING_GAP) + 1
        return (
            f"It overfits since epoch {since}: in the end its accuracy on training images is "
            f"{100 * gaps[-1]:.1f} points higher than on validation images. "
            "More augmentation or dropout narrows that."
        )
    if history[-1]["train_accuracy"] < 0.6:
        return "It is still learning. Give it more epochs."
    return "It does not overfit: its accuracy on validation images matches that in training."
