"""The sets of pictures a network learns from, held in memory as uint8."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor
from cnn.data import downloads
from cnn.data import synthetic
from cnn import UserError

READ_ERRORS = OSError, RuntimeError, EOFError, ValueError, AssertionError  # of missing or broken files


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
    that a picture and its mirror image show the same thing. `pictures` are those to learn from,
    before some are held out. `read` returns the training or the test pictures from a folder,
    unpacked first from the archives there if asked. `archives` are the paths of those, with MD5
    and addresses; `files` says which files are looked for.
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
    pictures: int
    archives: tuple[tuple[str, str, tuple[str, ...]], ...]
    files: str
    read: Callable[[Path, bool, bool], Split]


def _read_mnist(folder: Path, train: bool, unpack: bool) -> Split:
    part = torchvision.datasets.MNIST(folder, train, download=unpack)
    return Split(part.data.unsqueeze(1), part.targets.long())


def _read_cifar10(folder: Path, train: bool, unpack: bool) -> Split:
    part = torchvision.datasets.CIFAR10(folder, train, download=unpack)
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.tensor(part.targets))


def _write_synthetic(_: Path, train: bool, unpack: bool) -> Split:
    return _synthetic()[:10_000] if train else _synthetic()[10_000:]


@functools.cache
def _synthetic() -> Split:
    images, labels = map(torch.from_numpy, synthetic.synthetic_digits(12_000, seed=0))
    return Split(images.unsqueeze(1), labels)


DIGITS = tuple("0123456789")
_MNIST, _CIFAR10 = torchvision.datasets.MNIST, torchvision.datasets.CIFAR10

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
    pictures=60_000,
    archives=tuple(
        (f"MNIST/raw/{name}", md5, tuple(mirror + name for mirror in _MNIST.mirrors))
        for name, md5 in _MNIST.resources
    ),
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
    augmentations=("flip", "shift", "nudge", "cutout", "color", "camera", "photo"),
    pictures=50_000,
    archives=((_CIFAR10.filename, _CIFAR10.tgz_md5, (_CIFAR10.url,)),),
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
    pictures=10_000,
    archives=(),
    files="none",
    read=_write_synthetic,
)

DATASETS = {dataset.name: dataset for dataset in (MNIST, CIFAR10, SYNTHETIC)}


def get_dataset(name: str) -> Dataset:
    """The data set of that name, or a `UserError` that lists the names there are."""
    if name not in DATASETS:
        raise UserError(f"There is no data set called {name!r}. Choose: {', '.join(DATASETS)}.")
    return DATASETS[name]


def folder() -> Path:
    """Where the pictures lie: the folder that `CNN_DATA` names, else `data` beside the program."""
    return Path(os.environ.get("CNN_DATA") or Path(__file__).parents[2] / "data")


def load(
    dataset: Dataset,
    held_out: int | None = None,
    loading: Callable[[float], object] | None = None,
) -> Splits:
    """The pictures of a data set, downloaded at first use into `folder()`.

    `loading` hears the share downloaded, in [0, 1], and 0 before anything is asked of the network;
    by default it is written to stderr.

    `held_out` training pictures are set aside to be watched while training, the same number of
    each class and the same ones every time: by default a tenth of the set, 5,000 at the most.
    A `UserError` says which files to put where when there are none and no network either.
    """
    return _split(dataset, *load_unsplit(dataset, loading), held_out)


_cached: dict[tuple[str, Path], tuple[Split, Split]] = {}


def load_cached(
    dataset: Dataset,
    held_out: int | None = None,
    loading: Callable[[float], object] | None = None,
) -> Splits:
    """The same as `load`, of pictures that are read once and stay in memory: 0.2 GB at most."""
    place = dataset.name, folder()
    if place not in _cached:
        _cached[place] = load_unsplit(dataset, loading)
    return _split(dataset, *_cached[place], held_out)


def load_unsplit(
    dataset: Dataset, loading: Callable[[float], object] | None = None
) -> tuple[Split, Split]:
    """The training images, none of them held out, and the test images; otherwise as `load`."""
    try:
        train, test = _read(dataset, loading or _report_progress)
        return train, test
    except READ_ERRORS as fault:
        raise UserError(
            f"{dataset.title} could neither be read from {str(folder())!r} nor downloaded. "
            f"Put {dataset.files} there, name another folder in the variable CNN_DATA, or choose "
            f"{SYNTHETIC.title.lower()}, which need no download."
        ) from fault


def _split(dataset: Dataset, everything: Split, test: Split, held_out: int | None) -> Splits:
    if held_out is None:
        held_out = default_validation_size(len(everything))
    if not 0 < held_out < len(everything):
        raise UserError(
            f"{held_out} held-out pictures do not fit {dataset.title}, which has "
            f"{len(everything):,} to learn from. Choose from 1 to {len(everything) - 1:,}."
        )
    watched = _stratified(everything.labels, held_out, len(dataset.classes))
    return Splits(everything[~watched], everything[watched], test)


def default_validation_size(pictures: int) -> int:
    """How many pictures of so many to learn from are watched instead."""
    return min(5_000, pictures // 10)


def _read(dataset: Dataset, loading: Callable[[float], object]) -> list[Split]:
    """The training and the test pictures, downloaded where they are not there or not whole."""
    place = folder()
    with contextlib.suppress(*READ_ERRORS):
        return [dataset.read(place, train, False) for train in (True, False)]
    loading(0.0)
    with downloads.exclusive(place) as beside:
        with contextlib.suppress(*READ_ERRORS):  # somebody else has downloaded them meanwhile
            return [dataset.read(place, train, False) for train in (True, False)]
        for number, (name, md5, addresses) in enumerate(dataset.archives):
            done = functools.partial(_part, loading, number, len(dataset.archives))
            downloads.fetch(addresses, beside / name, md5, done)
        found = [dataset.read(beside, train, True) for train in (True, False)]
        for made in [path for path in beside.iterdir() if path.is_dir()]:
            if (place / made.name).exists():
                (place / made.name).rename(beside / f"{made.name}, broken")
            made.rename(place / made.name)
        return found


def _part(loading: Callable[[float], object], number: int, count: int, share: float) -> None:
    loading((number + share) / count)


def _report_progress(share: float) -> None:
    end = "\n" if share == 1 else ""
    print(f"\rdownloaded {100 * share:.0f} %", end=end, file=sys.stderr, flush=True)


def load_test(dataset: Dataset) -> Split:
    """The test pictures, read once and kept, and never downloaded.

    A `UserError` says what to do where they are not in `folder()`.
    """
    return _load_test(dataset, folder())


@functools.cache
def _load_test(dataset: Dataset, place: Path) -> Split:
    try:
        return dataset.read(place, False, False)
    except READ_ERRORS as fault:
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
