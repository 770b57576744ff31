"""`predict`: what the digit and the photo network say of pictures."""

import argparse
import json
from pathlib import Path

import torch
from PIL.Image import Image

from cnn import charts, checkpoints, datasets, explanation, prediction, preprocessing, visualization
from cnn.checkpoints import Checkpoint, Collection
from cnn.commands import parts


def add(commands) -> None:
    """Add the command."""
    predict = parts.command(
        commands, "predict", _predict, "ask the digit and the photo network about pictures"
    )
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument(
        "--figures", type=Path, metavar="DIR", help="also write what is inside as pictures"
    )
    parts.add_folder(predict)


def _predict(arguments: argparse.Namespace) -> None:
    networks = checkpoints.Collection(arguments.checkpoints)
    asked = [networks.chosen(dataset, None)[1] for dataset in ("mnist", "cifar10")]
    for path in arguments.images:
        photo = preprocessing.open_photo(path)
        for checkpoint in asked:
            _answer(arguments, path, photo, checkpoint, networks)


def _answer(
    arguments: argparse.Namespace,
    path: Path,
    photo: Image,
    checkpoint: Checkpoint,
    networks: Collection,
) -> None:
    dataset = datasets.named(checkpoint.card.dataset)
    if dataset.channels == 1:
        image = preprocessing.digit_from_photo(photo)
    else:
        image = preprocessing.views_from_photo(photo, dataset)
    answer = prediction.predict(checkpoint, image)
    if arguments.figures:
        name = f"{path.stem}-{dataset.name}"
        pictures = _figures(checkpoint, networks, image, answer)
        visualization.write_figures(arguments.figures, name, pictures)
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
    networks: Collection,
    image: torch.Tensor,
    answer: prediction.Prediction,
) -> dict[str, Image]:
    network, card = checkpoint
    first, label = image[:1], answer.classes.index(answer.label)
    counted = {
        f"attribution-{method}": explanation.attribute(network, first, method, label)
        for method in explanation.METHODS
    }
    opinions = prediction.opinions(networks.all(card.dataset), image)
    return (
        visualization.figures(network, first)
        | {name: visualization.overlay(first[0], found, 0.8) for name, found in counted.items()}
        | {"probabilities": charts.heat_map(opinions, card.classes)}
    )
