"""`predict`: what the digit and the photo network say of pictures."""

import argparse
import json
from pathlib import Path

import torch
from PIL.Image import Image

from cnn.cli.arguments import add_folder, command
from cnn.data import datasets
from cnn.data.photos import digit_from_photo, open_photo, views_from_photo
from cnn.evaluation import prediction
from cnn.interpret import attribution
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint, ModelRegistry
from cnn.plots import charts, grids


def add(commands) -> None:
    """Add the command."""
    predict = command(
        commands, "predict", _predict, "ask the digit and the photo network about pictures"
    )
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument(
        "--figures", type=Path, metavar="DIR", help="also write what is inside as pictures"
    )
    add_folder(predict)


def _predict(arguments: argparse.Namespace) -> None:
    networks = checkpoints.ModelRegistry(arguments.checkpoints)
    asked = [networks.chosen(dataset, None)[1] for dataset in ("mnist", "cifar10")]
    for path in arguments.images:
        photo = open_photo(path)
        for checkpoint in asked:
            _answer(arguments, path, photo, checkpoint, networks)


def _answer(
    arguments: argparse.Namespace,
    path: Path,
    photo: Image,
    checkpoint: Checkpoint,
    networks: ModelRegistry,
) -> None:
    dataset = datasets.get_dataset(checkpoint.card.dataset)
    image = digit_from_photo(photo) if dataset.channels == 1 else views_from_photo(photo, dataset)
    answer = prediction.predict(checkpoint, image)
    if arguments.figures:
        name = f"{path.stem}-{dataset.name}"
        pictures = _figures(checkpoint, networks, image, answer)
        grids.write_figures(arguments.figures, name, pictures)
    if arguments.json:
        line = {
            "image": str(path),
            "dataset": dataset.name,
            "model": checkpoint.card.model,
            "label": answer.label,
            "probability": answer.probability,
            "verdict": answer.verdict,
            "probabilities": dict(zip(answer.classes, answer.probabilities, strict=True)),
        }
        print(json.dumps(line), flush=True)
    else:
        name = f"{path.name}: " if len(arguments.images) > 1 else ""
        found = f"{answer.label} ({answer.probability * 100:.1f} %)"
        said = "nothing to see" if answer.verdict == "empty" else found
        print(f"{name}{dataset.title} -> {said}")


def _figures(
    checkpoint: Checkpoint,
    networks: ModelRegistry,
    image: torch.Tensor,
    answer: prediction.Prediction,
) -> dict[str, Image]:
    network, card = checkpoint
    first, label = image[:1], answer.classes.index(answer.label)
    counted = {
        f"attribution-{method}": attribution.attribute(network, first, method, label)
        for method in attribution.METHODS
    }
    opinions = prediction.compare_models(networks.all(card.dataset), image)
    return (
        grids.figures(network, first)
        | {name: grids.overlay(first[0], found, 0.8) for name, found in counted.items()}
        | {"probabilities": charts.heat_map(opinions, card.classes)}
    )
