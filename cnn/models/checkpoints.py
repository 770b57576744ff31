"""A trained network and all that is known of it, in one safetensors file.

No checkpoint is ever unpickled: the weights are safetensors and the Card is JSON.
"""

import dataclasses
import functools
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import nn

from cnn import UserError
from cnn.data import datasets
from cnn.files import atomic_write
from cnn.models import architectures

SUFFIX = ".safetensors"
BUNDLED = Path(__file__).parents[2] / "checkpoints"
HISTORY_KEYS = (  # what is asked of an epoch in a Card's history
    *("epoch", "step", "steps", "seconds"),
    *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
)
MAX_NUMBER = 1e15  # number in a Card: what is larger, or none at all, cannot be shown

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelCard:
    """What is known of a trained network. Shares lie in [0, 1]; `seconds` is training time.

    `threshold` is the familiarity below which a picture is doubted to be any of the classes, and
    `auroc` how well familiarity tells test pictures from each kind of strangers.
    """

    dataset: str
    model: str
    classes: tuple[str, ...]
    parameters: int
    recipe: dict[str, Any]
    seed: int
    train_accuracy: float
    train_loss: float
    validation_accuracy: float
    test_accuracy: float
    test_accuracy_averaged: float | None
    test_loss: float
    ece: float
    ece_uncalibrated: float
    temperature: float
    threshold: float
    seconds: float
    hardware: str
    versions: dict[str, str]
    date: str
    command: str
    default: bool = False
    claim: float | None = None
    auroc: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


class Checkpoint(NamedTuple):
    """A network, ready to answer (evaluation mode, on the CPU), and its Card."""

    network: nn.Sequential
    card: ModelCard


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all: first beside its place, then renamed into it."""
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in checkpoint.network.state_dict().items()
    }
    card = json.dumps(dataclasses.asdict(checkpoint.card))
    with atomic_write(Path(path), "checkpoint") as place:
        safetensors.torch.save_file(tensors, place, metadata={"card": card})
        place.replace(path)


def check_writable(path: str | Path, network: nn.Module) -> None:
    """Make sure, before the work, that a checkpoint of this network can be written there."""
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    with atomic_write(Path(path), "checkpoint") as place:
        place.write_bytes(bytes(size))
        place.unlink()


def read_card(path: str | Path) -> ModelCard:
    """The Card of a checkpoint, without its weights. A `UserError` says what is wrong with it."""
    path = Path(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            values = json.loads((file.metadata() or {})["card"])
        card = ModelCard(**values | {"classes": tuple(values["classes"])})
        if not _is_sound(card):
            raise ValueError
        return card
    except FileNotFoundError as fault:
        raise UserError(f"There is no checkpoint {path.name!r}. Check its name.") from fault
    except (OSError, safetensors.SafetensorError) as fault:
        raise UserError(
            f"{path.name!r} is not a whole safetensors file ({fault}). Download or train it again."
        ) from fault
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as fault:
        raise UserError(
            f"{path.name!r} has no Card that this program understands. "
            "Use a checkpoint made by `python -m cnn train`."
        ) from fault


def _is_sound(card: ModelCard) -> bool:
    """Whether what is asked of a Card, to answer and to be shown, is what it must be."""
    numbers = [
        *(card.parameters, card.seconds, card.temperature, card.threshold, card.ece),
        *(card.validation_accuracy, card.test_accuracy),
        *(one for one in (card.test_accuracy_averaged, card.claim) if one is not None),
        *(epoch[name] for epoch in card.history for name in HISTORY_KEYS),
    ]
    texts = card.model, card.hardware, card.date, card.command
    return (
        all(abs(number) < MAX_NUMBER for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and card.temperature > 0
        and card.classes == datasets.get_dataset(card.dataset).classes
    )


def load(path: str | Path) -> Checkpoint:
    """A checkpoint's network, in evaluation mode on the CPU, and its Card.

    A `UserError` says what is wrong with a file that is truncated, that is no checkpoint, or
    whose weights do not fit the architecture it names.
    """
    card = read_card(path)
    with torch.random.fork_rng(devices=[]):
        network = architectures.build(card.model, datasets.get_dataset(card.dataset))
    try:
        network.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, OSError, safetensors.SafetensorError) as fault:
        raise UserError(
            f"The weights in {Path(path).name!r} do not fit the network {card.model!r} "
            f"for {card.dataset!r} that its Card names. Train it again."
        ) from fault
    if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
        raise UserError(f"{Path(path).name!r} holds weights that are no numbers. Train it again.")
    return Checkpoint(network.eval().requires_grad_(False), card)


def list_files(folder: str | Path) -> list[Path]:
    """The checkpoints in a folder, by name; an empty list where there is none."""
    return sorted(Path(folder).glob(f"[!.]*{SUFFIX}"))


def read_cards(folder: str | Path) -> dict[Path, ModelCard]:
    """The Cards of a folder's checkpoints; one that cannot be read is left out, with a warning."""
    found = {}
    for path in list_files(folder):
        try:
            found[path] = read_card(path)
        except UserError as fault:
            _log.warning("Left out: %s", fault)
    return found


def load_default(folder: str | Path, dataset: str) -> Checkpoint:
    """The checkpoint that answers for a data set, by its name: the one whose Card says so.

    Where none says so, the one with the best validation accuracy. A `UserError` says how to
    make one when the folder holds none.
    """
    return ModelRegistry(folder).chosen(dataset, None)[1]


class ModelRegistry:
    """A folder's networks, each loaded when it is first asked for and then shared."""

    def __init__(self, folder: str | Path):
        self._folder = folder
        self._loaded: dict[str, Checkpoint] = {}

    @functools.cached_property
    def _cards(self) -> dict[str, tuple[Path, ModelCard]]:
        return {path.stem: (path, card) for path, card in read_cards(self._folder).items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def names(self, dataset: str) -> list[str]:
        """The networks for a data set, by its name: the one that answers by default first."""
        worth = {
            name: _rank(card) for name, (_, card) in self._cards.items() if card.dataset == dataset
        }
        return sorted(worth, key=worth.__getitem__, reverse=True)

    def named(self, name: str) -> Checkpoint:
        """The network of that name, or a `UserError` that lists the names there are."""
        if name not in self:
            raise UserError(f"There is no network called {name!r}. Choose: {', '.join(self)}.")
        if name not in self._loaded:
            self._loaded[name] = load(self._cards[name][0])
        return self._loaded[name]

    def chosen(self, dataset: str, name: str | None) -> tuple[str, Checkpoint]:
        """The network of that name if it is for the data set, else the default one for it.

        A `UserError` says how to make one when there is none.
        """
        names = self.names(dataset)
        if not names:
            raise UserError(
                f"There is no network for {datasets.get_dataset(dataset).title} in "
                f"{str(self._folder)!r} yet. Make one with `python -m cnn train "
                f"--dataset {dataset} --output checkpoints/{dataset}.safetensors`."
            )
        name = name if name in names else names[0]
        return name, self.named(name)

    def all(self, dataset: str) -> dict[str, Checkpoint]:
        """All networks for a data set by their names, the default one first."""
        return {name: self.named(name) for name in self.names(dataset)}


def _rank(card: ModelCard) -> tuple[bool, float]:
    return card.default, card.validation_accuracy
