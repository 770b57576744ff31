"""Images of none of a data set's classes, to learn from: outlier exposure."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision
from torch import Tensor

from cnn import UserError
from cnn.data import datasets, pen_strokes, synthetic_symbols
from cnn.data.datasets import Dataset, Split

SYNTHETIC_SYMBOLS = 6_000
HELD_OUT = 0.1  # of each source, at its end: whole classes where it is sorted by class

LIKE_CIFAR10 = (  # classes of CIFAR-100 that show, or resemble, one of CIFAR-10's
    *("bus", "lawn_mower", "motorcycle", "pickup_truck", "rocket", "streetcar", "tank", "tractor"),
    *("train", "fox", "leopard", "lion", "tiger", "wolf", "camel", "cattle", "kangaroo"),
    *("lizard", "turtle", "bridge", "road", "sea"),
)


class Outliers(NamedTuple):
    """Images to train with and images held out, uint8 (N, C, H, W)."""

    train: Tensor
    held_out: Tensor


class _Unpacked(torchvision.datasets.CIFAR100):  # type: ignore[misc]  # it has no annotations
    """CIFAR-100 whose archive is checked when it is downloaded, and not its files."""

    train_list = tuple((name, None) for name, _ in torchvision.datasets.CIFAR100.train_list)
    test_list = tuple((name, None) for name, _ in torchvision.datasets.CIFAR100.test_list)
    meta = torchvision.datasets.CIFAR100.meta | {"md5": None}


def _read_cifar100(folder: Path, train: bool, unpack: bool) -> Split:
    """Read the classes unlike CIFAR-10's, sorted by class."""
    part = _Unpacked(folder, train, download=unpack)
    labels = torch.tensor(part.targets)
    like = torch.tensor([part.class_to_idx.get(name, -1) for name in LIKE_CIFAR10])
    order = labels.argsort(stable=True)
    order = order[~torch.isin(labels[order], like)]
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2)
    return Split(images[order].contiguous(), labels[order])


CIFAR100 = Dataset(
    name="cifar100",
    title="CIFAR-100",
    classes=(),
    channels=3,
    size=32,
    mean=datasets.CIFAR10.mean,
    std=datasets.CIFAR10.std,
    input="photo",
    flip_invariant=True,
    augmentations=(),
    ood=(),
    train_size=50_000,
    archives=((_Unpacked.filename, _Unpacked.tgz_md5, (_Unpacked.url,)),),
    files="cifar-100-python/train, test and meta",
    read=_read_cifar100,
)


def _cifar100() -> Tensor:
    return datasets.load_unsplit(CIFAR100)[0].images


def _synthetic_symbols() -> Tensor:
    images = synthetic_symbols.synthetic_symbols(SYNTHETIC_SYMBOLS, seed=0)
    return torch.from_numpy(images).unsqueeze(1)


SOURCES: dict[str, Callable[[], Tensor]] = {
    CIFAR100.name: _cifar100,
    "synthetic_symbols": _synthetic_symbols,
}


def outlier_images(name: str, dataset: Dataset) -> Tensor:
    """Load images that show none of the data set's classes: uint8 (N, C, H, W) of its size.

    `name` is "cifar100", its classes unlike CIFAR-10's, downloaded at first use;
    "synthetic_symbols", hearts, smileys and other scripts' digits, which need no download; or an
    .npz file whose `images` are uint8 (N, C, H, W). A `UserError` names what is missing or does
    not fit.
    """
    images = SOURCES[name]() if name in SOURCES else _from_file(Path(name))
    _check_shape(name, images, dataset)
    return images


def _check_shape(name: str, images: Tensor, dataset: Dataset) -> None:
    expected = dataset.channels, dataset.size, dataset.size
    if tuple(images.shape[1:]) != expected:
        raise UserError(
            f"The outliers {name!r} have the shape {tuple(images.shape[1:])} and do not fit "
            f"{dataset.title}. Choose images of the shape {expected}."
        )


def _from_file(path: Path) -> Tensor:
    try:
        with np.load(path) as file:
            images = file["images"]
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(f"images are {images.dtype} with {images.ndim} axes")
    except (OSError, ValueError, KeyError) as fault:
        raise UserError(
            f"The outliers {str(path)!r} could not be read ({fault}). Choose "
            f"{', '.join((*SOURCES, *pen_strokes.NAMES))}, or an .npz file of pen strokes or with "
            "images as uint8 (N, C, H, W)."
        ) from fault
    return torch.from_numpy(images)


def load(names: tuple[str, ...], dataset: Dataset) -> Outliers:
    """Load several sources of outliers, a part of each of them held out.

    Each name is one of `outlier_images` or of `pen_strokes.load`. Of images the last tenth is
    held out, of pen strokes what `pen_strokes.split` says; those that look like digits are left
    out.
    """
    sources = [_load_source(name, dataset) for name in names]
    return Outliers(
        torch.cat([source.train for source in sources]),
        torch.cat([source.held_out for source in sources]),
    )


def _load_source(name: str, dataset: Dataset) -> Outliers:
    if pen_strokes.is_known(name):
        strokes = pen_strokes.without_digit_like(pen_strokes.load(name))
        train, held_out = pen_strokes.split(strokes)
        drawn = Outliers(pen_strokes.rasterize_varied(train), pen_strokes.rasterize(held_out))
        _check_shape(name, drawn.train, dataset)
        return drawn
    images = outlier_images(name, dataset)
    kept = len(images) - round(HELD_OUT * len(images))
    return Outliers(images[:kept], images[kept:])
