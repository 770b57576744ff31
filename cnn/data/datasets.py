"""The data sets: labelled images, held in memory as uint8."""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torchvision
from torch import Tensor

from cnn import UserError, settings
from cnn.data import downloads, synthetic

READ_ERRORS = OSError, RuntimeError, EOFError, ValueError, AssertionError  # files missing or broken


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images: `images` uint8 (N, C, H, W), `labels` int64 (N,).

    Unpacks to both; an index, a slice or a mask selects some of them.
    """

    images: Tensor
    labels: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.images, self.labels))

    def __getitem__(self, indices: Any) -> "Split":
        return Split(self.images[indices], self.labels[indices])

    def __len__(self) -> int:
        return len(self.labels)


class Splits(NamedTuple):
    """Images to train on, to validate with during training, and to test with once at the end."""

    train: Split
    validation: Split
    test: Split


@dataclass(frozen=True)
class Dataset:
    """Everything that differs between one data set and another.

    `input` is how a visitor gives an image. `mean` and `std` are per channel, over the training
    images in [0, 1]. `flip_invariant` says that a mirror image shows the same class. `ood` names
    the kinds of out-of-distribution images that networks are tested with (`ood.KINDS`).
    `train_size` counts the training images before some are held out for validation. `read`
    returns the training or the test images from a folder, unpacked first from the archives there
    if asked. `archives` are their paths, MD5 and addresses; `files` says which files are read.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input: Literal["strokes", "photo"]
    flip_invariant: bool
    augmentations: tuple[str, ...]
    ood: tuple[str, ...]
    train_size: int
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
    input="strokes",
    flip_invariant=False,
    augmentations=("affine", "elastic", "erode-dilate", "translate-4", "translate-2"),
    ood=("letters", "scribbles"),
    train_size=60_000,
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
    input="photo",
    flip_invariant=True,
    augmentations=(
        "alternating-flip",
        "translate-4",
        "translate-2",
        "cutout",
        "color-jitter",
        "degrade",
        "photo",
    ),
    ood=("noise", "stripes", "digits"),
    train_size=50_000,
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
    input="strokes",
    flip_invariant=False,
    augmentations=MNIST.augmentations,
    ood=MNIST.ood,
    train_size=10_000,
    archives=(),
    files="none",
    read=_write_synthetic,
)

DATASETS = {dataset.name: dataset for dataset in (MNIST, CIFAR10, SYNTHETIC)}


def get_dataset(name: str) -> Dataset:
    """Return the data set of that name. A `UserError` lists the names there are."""
    if name not in DATASETS:
        raise UserError(f"There is no data set called {name!r}. Choose: {', '.join(DATASETS)}.")
    return DATASETS[name]


def folder() -> Path:
    """Return the folder of the images: `CNN_DATA`, else `data` beside the program."""
    return settings.data_folder() or Path(__file__).parents[2] / "data"


def load(
    dataset: Dataset,
    validation_size: int | None = None,
    on_progress: Callable[[float], object] | None = None,
) -> Splits:
    """Load a data set, downloaded at first use into `folder()`.

    `on_progress` receives the fraction downloaded, in [0, 1], starting with 0; by default it is
    written to stderr. `validation_size` training images are held out for validation, the same
    number of each class and the same ones every time: by default a tenth of the set, 5,000 at
    most. A `UserError` says which files to put where if there are none and no network either.
    """
    return _split(dataset, *load_unsplit(dataset, on_progress), validation_size)


_cached: dict[tuple[str, Path], tuple[Split, Split]] = {}


def load_cached(
    dataset: Dataset,
    validation_size: int | None = None,
    on_progress: Callable[[float], object] | None = None,
) -> Splits:
    """Do as `load` does, with images that are read once and stay in memory: 0.2 GB at most."""
    key = dataset.name, folder()
    if key not in _cached:
        _cached[key] = load_unsplit(dataset, on_progress)
    return _split(dataset, *_cached[key], validation_size)


def load_unsplit(
    dataset: Dataset, on_progress: Callable[[float], object] | None = None
) -> tuple[Split, Split]:
    """Load the training images, none of them held out, and the test images; else as `load`."""
    try:
        train, test = _read_or_download(dataset, on_progress or _report_progress)
        return train, test
    except READ_ERRORS as fault:
        raise UserError(
            f"{dataset.title} could neither be read from {str(folder())!r} nor downloaded. "
            f"Put {dataset.files} there, name another folder in the variable CNN_DATA, or choose "
            f"{SYNTHETIC.title.lower()}, which need no download."
        ) from fault


def _split(dataset: Dataset, train: Split, test: Split, validation_size: int | None) -> Splits:
    if validation_size is None:
        validation_size = default_validation_size(len(train))
    if not 0 < validation_size < len(train):
        raise UserError(
            f"A validation set of {validation_size:,} images does not fit {dataset.title}, which "
            f"has {len(train):,} training images. Choose from 1 to {len(train) - 1:,}."
        )
    held_out = _stratified(train.labels, validation_size, len(dataset.classes))
    return Splits(train[~held_out], train[held_out], test)


def default_validation_size(train_size: int) -> int:
    """Return how many of the training images are held out unless a recipe says otherwise."""
    return min(5_000, train_size // 10)


def _read_or_download(dataset: Dataset, on_progress: Callable[[float], object]) -> list[Split]:
    """Read the training and the test images; download them where they are missing or broken."""
    target = folder()
    with contextlib.suppress(*READ_ERRORS):
        return [dataset.read(target, train, False) for train in (True, False)]
    on_progress(0.0)
    with downloads.exclusive(target) as temporary:
        with contextlib.suppress(*READ_ERRORS):  # another process has downloaded them meanwhile
            return [dataset.read(target, train, False) for train in (True, False)]
        count = len(dataset.archives)
        for index, (name, md5, urls) in enumerate(dataset.archives):

            def report(fraction: float, done: int = index) -> None:
                on_progress((done + fraction) / count)

            downloads.fetch(urls, temporary / name, md5, report)
        parts = [dataset.read(temporary, train, True) for train in (True, False)]
        for unpacked in [path for path in temporary.iterdir() if path.is_dir()]:
            if (target / unpacked.name).exists():
                (target / unpacked.name).rename(temporary / f"{unpacked.name}, broken")
            unpacked.rename(target / unpacked.name)
        return parts


def _report_progress(fraction: float) -> None:
    end = "\n" if fraction == 1 else ""
    print(f"\rdownloaded {100 * fraction:.0f} %", end=end, file=sys.stderr, flush=True)


def load_test(dataset: Dataset) -> Split:
    """Load the test images, read once and cached, and never downloaded.

    A `UserError` says what to do if they are not in `folder()`.
    """
    return _load_test(dataset, folder())


@functools.cache
def _load_test(dataset: Dataset, folder: Path) -> Split:
    try:
        return dataset.read(folder, False, False)
    except READ_ERRORS as fault:
        raise UserError(
            f"The images of {dataset.title} are not on this machine. Train a network on them, "
            f"which downloads them, or put {dataset.files} into {str(folder)!r}."
        ) from fault


def fold(splits: Splits, index: int, count: int) -> Splits:
    """Split training and validation images anew for cross-validation.

    Each image is in the validation set of one of the folds 0 to `count` - 1, the classes spread
    evenly over the folds. The test images stay as they are.
    """
    pairs = zip(splits.train, splits.validation, strict=True)
    images = Split(*(torch.cat(pair) for pair in pairs))
    classes = int(images.labels.max()) + 1
    held_out = _rank_in_class(images.labels, classes) % count == index
    return Splits(images[~held_out], images[held_out], splits.test)


def _stratified(labels: Tensor, count: int, classes: int) -> Tensor:
    """Mask `count` images, the classes as equal as they can be, chosen with a fixed seed."""
    rank = _rank_in_class(labels, classes)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[torch.argsort(rank * classes + labels)[:count]] = True
    return mask


def _rank_in_class(labels: Tensor, classes: int) -> Tensor:
    """Number the images of each class in a random order with a fixed seed."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    rank = torch.empty_like(labels)
    for label in range(classes):
        members = order[labels[order] == label]
        rank[members] = torch.arange(len(members))
    return rank
