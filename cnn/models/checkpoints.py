"""A trained network in one safetensors file: its weights, model card and test-set predictions.

No checkpoint is ever unpickled: tensors are safetensors and the card is JSON.
"""

import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from cnn import UserError, files
from cnn.data import datasets
from cnn.models import architectures
from cnn.models.card import ModelCard

SUFFIX = ".safetensors"
BUNDLED = Path(__file__).parents[2] / "checkpoints"
MAX_HEADER_BYTES = 300_000  # the card and the names of the tensors
MAX_TEST_IMAGES = 1_000_000
TEST_SET = "test_set."  # before the names of the predictions' tensors

_log = logging.getLogger(__name__)


class TestSetPredictions(NamedTuple):
    """What a network predicts of each test image, in the data set's order.

    `labels` are the true classes and `classes` the predicted ones, int64 (N,); `confidence` is
    the calibrated probability of the predicted class, float32 (N,). All in the card's mode `tta`.
    """

    labels: Tensor
    classes: Tensor
    confidence: Tensor


class Checkpoint(NamedTuple):
    """A network in evaluation mode on the CPU, its card, and its test-set predictions if known."""

    network: nn.Sequential
    card: ModelCard
    predictions: TestSetPredictions | None = None


@torch.no_grad()
def round_to_half(network: nn.Module) -> None:
    """Round weights in place to what a checkpoint keeps: float16, where they lie in its range."""
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(_halved(tensor))


def _halved(tensor: Tensor) -> Tensor:
    half = tensor.half()
    return half if half.isfinite().all() else tensor


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all, its weights as float16."""
    tensors = {
        name: _halved(tensor) if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.network.state_dict().items()
    }
    if checkpoint.predictions:
        labels, classes, confidence = checkpoint.predictions
        tensors |= {
            f"{TEST_SET}labels": labels.byte(),
            f"{TEST_SET}classes": classes.byte(),
            f"{TEST_SET}confidence": confidence.half(),
        }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    card = json.dumps(checkpoint.card.to_dict())
    with files.atomic_write(path, "checkpoint") as file:
        safetensors.torch.save_file(tensors, file, metadata={"card": card})


def check_writable(path: str | Path, network: nn.Module) -> None:
    """Raise a `UserError` unless a checkpoint of this network can be written to `path`."""
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    files.check_writable(path, "checkpoint", size)


def read_card(path: str | Path) -> ModelCard:
    """Read the card of a checkpoint, without its weights.

    A `UserError` says that the file is missing or cut short, or what is wrong with its card.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if MAX_HEADER_BYTES < int.from_bytes(file.read(8), "little") < path.stat().st_size:
                raise ValueError(f"its header is larger than {MAX_HEADER_BYTES:,} bytes")
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("card")
        if text is None:
            raise ValueError("it has none")
        return ModelCard.from_dict(json.loads(text))
    except FileNotFoundError as fault:
        raise UserError(f"There is no checkpoint {path.name!r}. Check its name.") from fault
    except (OSError, safetensors.SafetensorError) as fault:
        raise UserError(
            f"{path.name!r} is not a whole safetensors file ({fault}). Download or train it again."
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise UserError(
            f"The model card of {path.name!r} cannot be read: {fault}. "
            "Use a checkpoint made by `python -m cnn train`."
        ) from fault


def load(path: str | Path) -> Checkpoint:
    """Load a checkpoint: its network in evaluation mode on the CPU, float32, and its card.

    A `UserError` says what is wrong with a file that is cut short, that is no checkpoint, or
    whose weights do not fit the architecture that its card names.
    """
    card = read_card(path)
    with torch.random.fork_rng(devices=[]):
        network = architectures.build(card.model, datasets.get_dataset(card.dataset))
    try:
        tensors = safetensors.torch.load_file(path)
        known = {
            name.removeprefix(TEST_SET): tensors.pop(name)
            for name in list(tensors)
            if name.startswith(TEST_SET)
        }
        network.load_state_dict(tensors)
    except (RuntimeError, OSError, safetensors.SafetensorError) as fault:
        raise UserError(
            f"The weights in {Path(path).name!r} do not fit the network {card.model!r} "
            f"for {card.dataset!r} that its card names. Train it again."
        ) from fault
    if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
        raise UserError(
            f"{Path(path).name!r} holds weights that are not finite. Train the network again."
        )
    predictions = _predictions(known, len(card.classes)) if known else None
    if known and not predictions:
        raise UserError(
            f"The test-set predictions in {Path(path).name!r} are damaged. Train the network again."
        )
    return Checkpoint(network.eval().requires_grad_(False), card, predictions)


def _predictions(tensors: dict[str, Tensor], classes: int) -> TestSetPredictions | None:
    """Check the tensors of the predictions; None where one is missing or impossible."""
    expected = {"labels": torch.uint8, "classes": torch.uint8, "confidence": torch.float16}
    if {name: tensor.dtype for name, tensor in tensors.items()} != expected:
        return None
    shapes = {tensor.shape for tensor in tensors.values()}
    predictions = TestSetPredictions(
        tensors["labels"].long(), tensors["classes"].long(), tensors["confidence"].float()
    )
    count = predictions.labels.numel()
    valid = (
        shapes == {(count,)}
        and 0 < count <= MAX_TEST_IMAGES
        and max(predictions.labels.max(), predictions.classes.max()) < classes
        and bool(((predictions.confidence >= 0) & (predictions.confidence <= 1)).all())
    )
    return predictions if valid else None


def list_files(folder: str | Path) -> list[Path]:
    """List the checkpoints in a folder by name; empty where there is no folder."""
    return sorted(Path(folder).glob(f"[!.]*{SUFFIX}"))


def read_cards(folder: str | Path) -> dict[Path, ModelCard]:
    """Read the cards of a folder's checkpoints; leave out, with a warning, what is unreadable."""
    cards = {}
    for path in list_files(folder):
        try:
            cards[path] = read_card(path)
        except UserError as fault:
            _log.warning("Left out: %s", fault)
    return cards


def load_default(folder: str | Path, dataset: str) -> Checkpoint:
    """Load the default checkpoint for a data set: the one whose card says `is_default`.

    Where no card does it is the one with the best validation accuracy. A `UserError` says how to
    make one when the folder holds none.
    """
    return ModelRegistry(folder).get_or_default(dataset)[1]


class ModelRegistry:
    """A folder's networks by file name, each loaded at first use and then shared."""

    def __init__(self, folder: str | Path):
        self._folder = folder
        self._loaded: dict[str, Checkpoint] = {}

    @functools.cached_property
    def _cards(self) -> dict[str, tuple[Path, ModelCard]]:
        return {path.stem: (path, card) for path, card in read_cards(self._folder).items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def names(self, dataset: str) -> list[str]:
        """List the networks for a data set, the default one first, then by validation accuracy."""
        ranks = {
            name: _rank(card) for name, (_, card) in self._cards.items() if card.dataset == dataset
        }
        return sorted(ranks, key=ranks.__getitem__, reverse=True)

    def get(self, name: str) -> Checkpoint:
        """Return the network of that name. A `UserError` lists the names there are."""
        if name not in self:
            raise UserError(f"There is no network called {name!r}. Choose: {', '.join(self)}.")
        if name not in self._loaded:
            self._loaded[name] = load(self._cards[name][0])
        return self._loaded[name]

    def get_or_default(self, dataset: str, name: str | None = None) -> tuple[str, Checkpoint]:
        """Return the network of that name, or the default one for the data set without a name.

        A `UserError` lists the data set's networks if `name` is not one of them, or says how to
        train one if there are none.
        """
        names = self.names(dataset)
        title = datasets.get_dataset(dataset).title
        if not names:
            raise UserError(
                f"There is no network for {title} in "
                f"{str(self._folder)!r} yet. Make one with `python -m cnn train "
                f"--dataset {dataset} --output checkpoints/{dataset}{SUFFIX}`."
            )
        if name is None:
            name = names[0]
        if name not in names:
            raise UserError(
                f"There is no network {name!r} for {title}. Choose: {', '.join(names)}."
            )
        return name, self.get(name)

    def all(self, dataset: str) -> dict[str, Checkpoint]:
        """Return all networks for a data set by name, the default one first."""
        return {name: self.get(name) for name in self.names(dataset)}


def _rank(card: ModelCard) -> tuple[bool, float]:
    return card.is_default, card.validation_accuracy
