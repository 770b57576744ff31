"""Images of none of a data set's classes, to learn from: outlier exposure."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision
from torch import Tensor

from cnn import UserError
from cnn.data import datasets
from cnn.data.datasets import Dataset, Split

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


class _Unpacked(torchvision.datasets.CIFAR100):
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


SOURCES: dict[str, Callable[[], Tensor]] = {CIFAR100.name: _cifar100}


def outlier_images(name: str, dataset: Dataset) -> Tensor:
    """Load images that show none of the data set's classes: uint8 (N, C, H, W) of its size.

    `name` is "cifar100", its classes unlike CIFAR-10's, downloaded at first use, or an .npz file
    whose `images` are uint8 (N, C, H, W). A `UserError` names what is missing or does not fit.
    """
    images = SOURCES[name]() if name in SOURCES else _from_file(Path(name))
    expected = dataset.channels, dataset.size, dataset.size
    if tuple(images.shape[1:]) != expected:
        raise UserError(
            f"The outliers {name!r} have the shape {tuple(images.shape[1:])} and do not fit "
            f"{dataset.title}. Choose images of the shape {expected}."
        )
    return images


def _from_file(path: Path) -> Tensor:
    try:
        with np.load(path) as file:
            images = file["images"]
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(f"images are {images.dtype} with {images.ndim} axes")
    except (OSError, ValueError, KeyError) as fault:
        raise UserError(
            f"The outliers {str(path)!r} could not be read ({fault}). Choose "
            f"{', '.join(SOURCES)} or an .npz file with images as uint8 (N, C, H, W)."
        ) from fault
    return torch.from_numpy(images)


def load(names: tuple[str, ...], dataset: Dataset) -> Outliers:
    """Load several sources of outliers, of each of which the last tenth is held out."""
    train, held_out = [], []
    for name in names:
        images = outlier_images(name, dataset)
        kept = len(images) - round(HELD_OUT * len(images))
        train.append(images[:kept])
        held_out.append(images[kept:])
    return Outliers(torch.cat(train), torch.cat(held_out))
