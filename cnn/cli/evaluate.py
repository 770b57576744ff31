"""`evaluate` and `models`: what checkpoints are worth, measured again or read from their Cards."""

import argparse
import dataclasses
import json
import statistics
from pathlib import Path

import torch
from torch import Tensor

from cnn import UserError, hardware
from cnn.cli.arguments import add_folder, command, print_table
from cnn.data import datasets
from cnn.evaluation import inference, metrics
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint, ModelCard


def add(commands) -> None:
    """Add both commands."""
    evaluate = command(commands, "evaluate", _evaluate, "measure checkpoints on their test sets")
    evaluate.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    evaluate.add_argument(
        "--ensemble", action="store_true", help="measure the mean of their probabilities instead"
    )
    models = command(commands, "models", _models, "list the checkpoints from their Cards")
    models.add_argument("--markdown", action="store_true", help="print the README's table")
    add_folder(models)


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.ensemble:
        measured = [_ensemble_metrics(arguments.checkpoints)]
    else:
        measured = map(_metrics, arguments.checkpoints)
    for found in measured:
        if arguments.json:
            print(json.dumps(found), flush=True)
            continue
        name = found.get("checkpoint", "their mean")
        print(f"{name}: {found['accuracy']:.2%}, loss {found['loss']:.4f}", end="")
        averaged = found["accuracy_averaged"]
        print(f", averaged over flips and shifts {averaged:.2%}" if averaged else "")
        for label, share in found["per_class"].items():
            print(f"  {label:12} {share:.2%}", flush=True)


def _metrics(path: Path) -> dict:
    network, card = checkpoints.load(path)
    dataset = datasets.get_dataset(card.dataset)
    test = datasets.load(dataset).test
    network.to(hardware.device())
    answers = inference.logits(network, test.images)
    measures = metrics.compute_metrics(answers, test.labels)
    return {
        "checkpoint": str(path),
        "dataset": card.dataset,
        "model": card.model,
        "parameters": card.parameters,
        "bytes": path.stat().st_size,
        "accuracy": measures.accuracy,
        "accuracy_averaged": metrics.tta_accuracy(network, test, dataset),
        "loss": measures.loss,
        "ece": metrics.compute_metrics(answers, test.labels, card.temperature).ece,
        "per_class": dict(zip(card.classes, measures.per_class, strict=True)),
        "default": card.default,
    }


def _ensemble_metrics(paths: list[Path]) -> dict:
    loaded = [checkpoints.load(path) for path in paths]
    names = sorted({card.dataset for _, card in loaded})
    if len(names) > 1:
        raise UserError(f"These networks are for {' and '.join(names)}. Choose one data set's.")
    dataset = datasets.get_dataset(names[0])
    test = datasets.load(dataset).test
    answers = _mean_answers(loaded, test.images)
    measures = metrics.compute_metrics(answers, test.labels)
    averaged = None
    if dataset.mirrored:
        looks = _mean_answers(loaded, test.images, averaged_over=dataset)
        averaged = metrics.compute_metrics(looks, test.labels).accuracy
    return {
        "checkpoints": [str(path) for path in paths],
        "dataset": dataset.name,
        "parameters": sum(card.parameters for _, card in loaded),
        "bytes": sum(path.stat().st_size for path in paths),
        "accuracy": measures.accuracy,
        "accuracy_averaged": averaged,
        "loss": measures.loss,
        "ece": measures.ece,
        "per_class": dict(zip(dataset.classes, measures.per_class, strict=True)),
    }


def _mean_answers(loaded: list[Checkpoint], images: Tensor, **options) -> Tensor:
    """Logits (N, classes) of the mean of all networks' calibrated probabilities."""
    shares = []
    for network, card in loaded:
        answers = inference.logits(network.to(hardware.device()), images, **options)
        shares.append((answers / card.temperature).softmax(1))
    return torch.stack(shares).mean(0).log()


def _models(arguments: argparse.Namespace) -> None:
    cards = list(checkpoints.read_cards(arguments.checkpoints).items())
    if arguments.json:
        for path, card in cards:
            print(json.dumps({"checkpoint": str(path)} | dataclasses.asdict(card)))
        return
    rows = [_row(path, card) for path, card in cards]
    if arguments.markdown:
        print("|".join(["", *_COLUMNS, ""]))
        print("|---|---|" + "---:|" * (len(_COLUMNS) - 2))
        print("\n".join("|".join(["", *row, ""]) for row in rows))
        return
    print_table(_COLUMNS, rows)


_COLUMNS = (
    "checkpoint",
    "network",
    "parameters",
    "test accuracy",
    "averaged",
    "its tutorial's claim",
    "calibration error",
    "strangers noticed",
    "seconds of training",
)


def _row(path: Path, card: ModelCard) -> tuple[str, ...]:
    return (
        path.stem + (" (answers on the page)" if card.default else ""),
        card.model,
        f"{card.parameters:,}",
        f"{card.test_accuracy:.2%}",
        "" if card.test_accuracy_averaged is None else f"{card.test_accuracy_averaged:.2%}",
        "" if card.claim is None else f"{card.claim:.2%}",
        f"{card.ece:.2%}",
        f"{statistics.mean(card.auroc.values()):.3f}" if card.auroc else "",
        f"{card.seconds:,.0f}",
    )
