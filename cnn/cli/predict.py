"""Classifies images with the default networks for digits and photographs, or with chosen ones.

examples:
  python -m cnn predict photograph.png digit.jpg
  python -m cnn predict digit.jpg --model mnist-two-conv --figures figures
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL.Image import Image

from cnn import UserError
from cnn.cli import arguments as common
from cnn.data import datasets
from cnn.data.datasets import Dataset
from cnn.data.paper import find_digits
from cnn.data.photos import open_photo, views_from_photo
from cnn.evaluation import prediction
from cnn.evaluation.percentages import percentages
from cnn.evaluation.prediction import Prediction
from cnn.interpret import attribution
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint, ModelRegistry
from cnn.plots import charts, grids

Networks = dict[str, Checkpoint]  # by file; the mean of several is an ensemble


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    networks = parser.add_mutually_exclusive_group()
    networks.add_argument("--checkpoint", type=Path, metavar="FILE", help="use this checkpoint")
    networks.add_argument("--model", metavar="NAME", help="use this checkpoint of the folder")
    networks.add_argument(
        "--ensemble", action="store_true", help="use all of the folder, averaged per data set"
    )
    parser.add_argument(
        "--figures", type=Path, metavar="DIR", help="draw filters, feature maps and attributions"
    )
    common.add_folder(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print each image's predictions or its error; return 2 if there was an error."""
    registry = ModelRegistry(arguments.checkpoints)
    choices = list(_choose_networks(arguments, registry))
    failed = False
    for path, name in zip(arguments.images, _unique_names(arguments.images), strict=True):
        try:
            photo = open_photo(path)
            for networks in choices:
                _predict(arguments, path, name, photo, networks, registry)
        except UserError as error:
            failed = True
            _print_error(arguments, path, error)
    return 2 if failed else 0


def _choose_networks(arguments: argparse.Namespace, registry: ModelRegistry) -> Iterator[Networks]:
    """Yield the networks to use, in turn, by their files."""

    def file(name: str) -> str:
        return str(arguments.checkpoints / f"{name}{checkpoints.SUFFIX}")

    if arguments.checkpoint:
        yield {str(arguments.checkpoint): checkpoints.load(arguments.checkpoint)}
        return
    if arguments.model:
        yield {file(arguments.model): registry.get(arguments.model)}
        return
    known = [name for name in datasets.DATASETS if registry.names(name)]
    for dataset in known or ["mnist"]:
        if arguments.ensemble:
            yield {file(name): member for name, member in registry.all(dataset).items()}
        else:
            name, checkpoint = registry.get_or_default(dataset)
            yield {file(name): checkpoint}


def _unique_names(paths: list[Path]) -> list[str]:
    """Name each image for its figures: its stem, with a number where another has the same."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 1
        while name in names:
            number += 1
            name = f"{path.stem}-{number}"
        names.append(name)
    return names


def _predict(
    arguments: argparse.Namespace,
    path: Path,
    name: str,
    photo: Image,
    networks: Networks,
    registry: ModelRegistry,
) -> None:
    """Predict a photograph, or each digit of a sheet from left to right."""
    card = next(iter(networks.values())).card
    dataset = datasets.get_dataset(card.dataset)
    if dataset.input == "strokes":
        images = _digits(photo, dataset)
    else:
        images = [views_from_photo(photo, dataset)]
    for number, image in enumerate(images, 1):
        own_name = name if len(images) == 1 else f"{name}-digit-{number}"
        _predict_one(arguments, path, own_name, image, networks, registry)


def _digits(photo: Image, dataset: Dataset) -> list[torch.Tensor]:
    """Return the digits of a sheet; for an empty sheet, or a page of text, an empty image."""
    try:
        images = [digit.image for digit in find_digits(photo)]
    except UserError as error:
        print(error, file=sys.stderr)
        images = []
    return images or [torch.zeros(1, dataset.channels, dataset.size, dataset.size)]


def _predict_one(
    arguments: argparse.Namespace,
    path: Path,
    name: str,
    image: torch.Tensor,
    networks: Networks,
    registry: ModelRegistry,
) -> None:
    card = next(iter(networks.values())).card
    dataset = datasets.get_dataset(card.dataset)
    result = _ensemble([prediction.predict(network, image) for network in networks.values()])
    if arguments.figures:
        figures = _figures(next(iter(networks.values())), registry, image, result)
        grids.write_figures(arguments.figures, f"{name}-{dataset.name}", figures)
    if arguments.json:
        common.print_json(
            {
                "image": str(path),
                "dataset": dataset.name,
                "checkpoint": next(iter(networks)) if len(networks) == 1 else list(networks),
                "model": card.model if len(networks) == 1 else "ensemble",
                "label": result.label,
                "probability": result.probability,
                "verdict": result.verdict,
                "probabilities": dict(zip(result.classes, result.probabilities, strict=True)),
            }
        )
    else:
        prefix = f"{path}: " if len(arguments.images) > 1 else ""
        print(f"{prefix}{dataset.title} -> {_describe(result)}", flush=True)


def _ensemble(predictions: list[Prediction]) -> Prediction:
    """Average predictions; the verdict is the one that most of them have."""
    columns = zip(*(member.probabilities for member in predictions), strict=True)
    probabilities = tuple(statistics.fmean(column) for column in columns)
    verdict = statistics.mode(member.verdict for member in predictions)
    return Prediction(predictions[0].classes, probabilities, verdict)


def _describe(result: Prediction) -> str:
    if result.verdict == "blank":
        return "blank"
    written = percentages(result.probabilities)[result.classes.index(result.label)]
    best = f"{result.label} ({written})"
    if result.verdict == "out_of_distribution":
        return f"out of distribution; closest: {best}"
    return f"{best}, {result.verdict}"


def _print_error(arguments: argparse.Namespace, path: Path, error: UserError) -> None:
    if arguments.json:
        common.print_json({"image": str(path), "error": str(error)})
    print(error, file=sys.stderr)


def _figures(
    checkpoint: Checkpoint, registry: ModelRegistry, image: torch.Tensor, result: Prediction
) -> dict[str, Image]:
    network, card, _ = checkpoint
    first, label = image[:1], result.classes.index(result.label)
    attributions = {
        f"attribution-{method}": attribution.attribute(network, first, method, label)
        for method in attribution.METHODS
    }
    members = registry.all(card.dataset) or {card.model: checkpoint}
    probabilities = prediction.compare_models(members, image)
    return (
        grids.figures(network, first)
        | {name: grids.overlay(first[0], values, 0.8) for name, values in attributions.items()}
        | {"probabilities": charts.heat_map(probabilities, card.classes)}
    )
