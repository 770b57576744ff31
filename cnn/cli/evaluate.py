"""Evaluates checkpoints on their data sets.

examples:
  python -m cnn evaluate checkpoints/mnist-*.safetensors
  python -m cnn evaluate digits.safetensors --split validation --figures figures
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from cnn import UserError
from cnn.cli import arguments as common
from cnn.data import datasets
from cnn.data.datasets import Dataset, Split
from cnn.data.ood import ood_images
from cnn.evaluation import inference, metrics
from cnn.evaluation.percentages import percent
from cnn.evaluation.report import EvaluationReport
from cnn.models import checkpoints
from cnn.models.card import TTA, ModelCard
from cnn.models.checkpoints import Checkpoint
from cnn.plots import charts, grids

SPLITS = ("train", "validation", "test")
FIGURE_IMAGES = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument(
        "--ensemble", action="store_true", help="evaluate the mean of their probabilities instead"
    )
    parser.add_argument(
        "--split", choices=SPLITS, default="test", help="images to evaluate on (default: test)"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="draw the confusion matrix, calibration, mistakes and predictions",
    )
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a result per checkpoint; one that cannot be evaluated does not end the others."""
    if arguments.ensemble:
        _print(arguments, _evaluate_ensemble(arguments))
        return 0
    failed = False
    for path in arguments.checkpoints:
        try:
            _print(arguments, _evaluate(arguments, path))
        except UserError as error:
            failed = True
            print(error, file=sys.stderr)
    return 2 if failed else 0


def _print(arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    if arguments.json:
        common.print_json(result)
        return
    name = result.get("checkpoint", "ensemble")
    tta = result["accuracy_tta"]
    suffix = "" if tta is None else f", with test-time augmentation {tta:.2%}"
    print(f"{name}: {result['accuracy']:.2%}, loss {result['loss']:.4f}{suffix}")
    for label, accuracy in result["accuracy_per_class"].items():
        print(f"  {label:12} {accuracy:.2%}", flush=True)


def _evaluate(arguments: argparse.Namespace, path: Path) -> dict[str, Any]:
    checkpoint = checkpoints.load(path)
    network, card, _ = checkpoint
    dataset = datasets.get_dataset(card.dataset)
    split = _load_split(checkpoint, arguments.split)
    by_view = inference.logits_by_view(network, split.images, card.tta)
    logits = by_view.mean(0)
    if arguments.figures:
        _draw_figures(arguments.figures, path.stem, logits / card.temperature, split, dataset)
    return {
        "checkpoint": str(path),
        "dataset": card.dataset,
        "model": card.model,
        "split": arguments.split,
        "parameters": card.parameters,
        "bytes": path.stat().st_size,
        **_metrics(by_view[0], logits, split.labels, card),
        "ece": metrics.compute_metrics(logits, split.labels, card.temperature).ece,
        "ood_auroc": _ood_auroc(checkpoint, dataset, logits),
        "is_default": card.is_default,
    }


def _metrics(single: Tensor, averaged: Tensor, labels: Tensor, card: ModelCard) -> dict[str, Any]:
    """Compute accuracy and loss of single images, and the accuracy with augmentation if any."""
    measured = metrics.compute_metrics(single, labels)
    return {
        "accuracy": measured.accuracy,
        "accuracy_tta": None if card.tta == "none" else metrics.accuracy(averaged, labels),
        "loss": measured.loss,
        "accuracy_per_class": dict(zip(card.classes, measured.recall, strict=True)),
    }


def _load_split(checkpoint: Checkpoint, name: str) -> Split:
    card = checkpoint.card
    splits = datasets.load(datasets.get_dataset(card.dataset), card.config.get("validation_size"))
    return getattr(splits, name)


def _ood_auroc(checkpoint: Checkpoint, dataset: Dataset, logits: Tensor) -> dict[str, float]:
    network, card, _ = checkpoint
    in_dist = metrics.energy_score(logits)
    return {
        kind: metrics.auroc(
            in_dist, metrics.energy_score(inference.logits(network, images, card.tta))
        )
        for kind, images in ood_images(dataset).items()
    }


def _evaluate_ensemble(arguments: argparse.Namespace) -> dict[str, Any]:
    members = [checkpoints.load(path) for path in arguments.checkpoints]
    names = sorted({member.card.dataset for member in members})
    if len(names) > 1:
        raise UserError(f"These networks are for {' and '.join(names)}. Choose one data set's.")
    dataset = datasets.get_dataset(names[0])
    split = _load_split(members[0], arguments.split)
    single = _ensemble_logits(members, split.images, "none")
    averaged = _ensemble_logits(members, split.images, members[0].card.tta)
    if arguments.figures:
        _draw_figures(arguments.figures, "ensemble", averaged, split, dataset)
    return {
        "checkpoints": [str(path) for path in arguments.checkpoints],
        "dataset": dataset.name,
        "split": arguments.split,
        "parameters": sum(member.card.parameters for member in members),
        "bytes": sum(path.stat().st_size for path in arguments.checkpoints),
        **_metrics(single, averaged, split.labels, members[0].card),
        "ece": metrics.compute_metrics(averaged, split.labels).ece,
    }


def _ensemble_logits(members: list[Checkpoint], images: Tensor, tta: TTA) -> Tensor:
    """Compute the log of the mean of the calibrated probabilities: (N, classes)."""
    probabilities = [
        (inference.logits(network, images, tta) / card.temperature).softmax(1)
        for network, card, _ in members
    ]
    return torch.stack(probabilities).mean(0).log()


def _draw_figures(folder: Path, name: str, logits: Tensor, split: Split, dataset: Dataset) -> None:
    """Draw what the logits, divided by the temperature, say of the images."""
    confidence, predictions = logits.softmax(1).max(1)
    report = EvaluationReport(dataset.classes, split.labels, predictions, confidence, split.images)
    figures = {
        "confusion": charts.confusion(report.confusion, report.classes),
        "reliability": charts.reliability(report.reliability),
        "predictions": _captioned(report, split.images, report.examples(FIGURE_IMAGES)),
    }
    mistakes = report.mistakes(FIGURE_IMAGES)
    if len(mistakes):
        figures["mistakes"] = _captioned(report, split.images, mistakes)
    grids.write_figures(folder, name, figures)


def _captioned(report: EvaluationReport, images: Tensor, indices: Tensor) -> Image:
    """Draw images with the predicted class and, where it is another, the true one."""
    captions = []
    for index in indices.tolist():
        predicted, true = report.predictions[index], report.labels[index]
        note = "" if predicted == true else f"true: {report.classes[true]}"
        confidence = percent(report.confidence[index].item(), 0)
        captions.append((f"{report.classes[predicted]} {confidence}", note))
    return charts.captioned_grid(images[indices], captions)
