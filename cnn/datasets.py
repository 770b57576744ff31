"""The sets of pictures a network learns from, held in memory as uint8."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

from cnn import UserError, handwriting


class Split(NamedTuple):
    """Pictures with their answers: `images` uint8 (N, C, H, W), `labels` int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __getitem__(self, chosen) -> "Split":
        return Split(self.images[chosen], self.labels[chosen])

    def __len__(self) -> int:
        return len(self.labels)


class Splits(NamedTuple):
    """What is learnt from, what is watched while learning, and what is measured once at the end."""

    train: Split
    validation: Split
    test: Split


@dataclass(frozen=True)
class Dataset:
    """All that differs between one set of pictures and another.

    `mean` and `std` are a channel each, over the training pictures in [0, 1]. `mirrored` says
    that a picture and its mirror image show the same thing. `read` returns the training or the
    test pictures from a folder, downloaded if asked. `files` says which files it looks for there.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirrored: bool
    augmentations: tuple[str, ...]
    source: str
    files: str
    read: Callable[[Path, bool, bool], Split]


def _read_mnist(folder: Path, train: bool, download: bool) -> Split:
    part = torchvision.datasets.MNIST(folder, train, download=download)
    return Split(part.data.unsqueeze(1), part.targets.long())


def _read_cifar10(folder: Path, train: bool, download: bool) -> Split:
    part = torchvision.datasets.CIFAR10(folder, train, download=download)
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.tensor(part.targets))


def _write_synthetic(_: Path, train: bool, download: bool) -> Split:
    return _synthetic()[:10_000] if train else _synthetic()[10_000:]


@functools.cache
def _synthetic() -> Split:
    images, labels = map(torch.from_numpy, handwriting.synthetic_digits(12_000, seed=0))
    return Split(images.unsqueeze(1), labels)


DIGITS = tuple("0123456789")

MNIST = Dataset(
    name="mnist",
    title="MNIST",
    classes=DIGITS,
    channels=1,
    size=28,
    mean=(0.1307,),
    std=(0.3081,),
    mirrored=False,
    augmentations=("warp", "elastic", "thickness", "shift", "nudge"),
    source="Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits",
    files="MNIST/raw/train-images-idx3-ubyte and its three companions",
    read=_read_mnist,
)

CIFAR10 = Dataset(
    name="cifar10",
    title="CIFAR-10",
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    channels=3,
    size=32,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    mirrored=True,
    augmentations=("flip", "shift", "nudge", "cutout", "color", "camera"),
    source="A. Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    files="cifar-10-batches-py/data_batch_1 to 5 and test_batch",
    read=_read_cifar10,
)

SYNTHETIC = Dataset(
    name="synthetic",
    title="Synthetic digits",
    classes=DIGITS,
    channels=1,
    size=28,
    mean=MNIST.mean,
    std=MNIST.std,
    mirrored=False,
    augmentations=MNIST.augmentations,
    source="written by this program, stroke by stroke",
    files="none",
    read=_write_synthetic,
)

DATASETS = {dataset.name: dataset for dataset in (MNIST, CIFAR10, SYNTHETIC)}


def named(name: str) -> Dataset:
    """The data set of that name, or a `UserError` that lists the names there are."""
    if name not in DATASETS:
        raise UserError(f"There is no data set called {name!r}. Choose: {', '.join(DATASETS)}.")
    return DATASETS[name]


def folder() -> Path:
    """Where the pictures lie: the folder that `CNN_DATA` names, else `data` beside the program."""
    return Path(os.environ.get("CNN_DATA") or Path(__file__).parent.parent / "data")


def load(dataset: Dataset, held_out: int | None = None) -> Splits:
    """The pictures of a data set, downloaded at first use into `folder()`.

    `held_out` training pictures are set aside to be watched while training, the same number of
    each class and the same ones every time: by default a tenth of the set, 5,000 at the most.
    A `UserError` says which files to put where when there are none and no network either.
    """
    try:
        everything, test = (dataset.read(folder(), train, True) for train in (True, False))
    except (OSError, RuntimeError, EOFError, ValueError) as fault:
        raise UserError(
            f"{dataset.title} could neither be read from {str(folder())!r} nor downloaded. "
            f"Put {dataset.files} there, or name another folder in the variable CNN_DATA."
        ) from fault
    if held_out is None:
        held_out = min(5_000, len(everything) // 10)
    if not 0 < held_out < len(everything):
        raise UserError(
            f"{held_out} held-out pictures do not fit {dataset.title}, which has "
            f"{len(everything):,} to learn from. Choose from 1 to {len(everything) - 1:,}."
        )
    watched = _stratified(everything.labels, held_out, len(dataset.classes))
    return Splits(everything[~watched], everything[watched], test)


def test_pictures(dataset: Dataset) -> Split:
    """The test pictures, read once and kept, and never downloaded.

    A `UserError` says what to do where they are not in `folder()`.
    """
    return _test_pictures(dataset, folder())


@functools.cache
def _test_pictures(dataset: Dataset, place: Path) -> Split:
    try:
        return dataset.read(place, False, False)
    except (OSError, RuntimeError, EOFError, ValueError) as fault:
        raise UserError(
            f"The pictures of {dataset.title} are not on this machine. Start a lesson on them in "
            f"Train, which downloads them, or put {dataset.files} into {str(place)!r}."
        ) from fault


def fold(splits: Splits, number: int, count: int) -> Splits:
    """The same pictures, of which others are watched: those of one fold out of `count`.

    Each picture is watched in one of the folds 0 to `count` - 1, as many of each class in each
    as can be. The test pictures stay as they are.
    """
    both = zip(splits.train, splits.validation, strict=True)
    everything = Split(*(torch.cat(pair) for pair in both))
    classes = int(everything.labels.max()) + 1
    watched = _rank_in_class(everything.labels, classes) % count == number
    return Splits(everything[~watched], everything[watched], splits.test)


def _stratified(labels: Tensor, count: int, classes: int) -> Tensor:
    """A mask of `count` pictures, as many of each class as can be, chosen with a fixed seed."""
    rank = _rank_in_class(labels, classes)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.argsort(rank * classes + labels)[:count]] = True
    return chosen


def _rank_in_class(labels: Tensor, classes: int) -> Tensor:
    """The place of each picture among those of its class, in an order with a fixed seed."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    rank = torch.empty_like(labels)
    for label in range(classes):
        members = order[labels[order] == label]
        rank[members] = torch.arange(len(members))
    return rank
