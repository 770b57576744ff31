"""Data sets of one's own: a folder of images per class, or an .npz file of arrays."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cnn import UserError
from cnn.data.datasets import DATASETS, Dataset, Split

LARGEST = 64  # pixels a side; larger images are scaled down
TEST_EVERY = 6  # images, where a folder has no test images of its own
MAX_CLASSES = 256
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
AUGMENTATIONS = (
    *("alternating-flip", "translate-4", "translate-2", "cutout", "affine", "elastic"),
)


class _Content(NamedTuple):
    classes: tuple[str, ...]
    train: Split
    test: Split


def register_dataset(path: str | Path) -> Dataset:
    """Make the images at a path a data set, called by the path as given.

    A folder holds a folder of images per class, as for torchvision's `ImageFolder`, or two such
    folders called train and test; without these every sixth image is for testing. An .npz file
    holds `x_train`, `y_train`, `x_test` and `y_test`, uint8 images (N, H, W) or (N, H, W, C) and
    integer labels, and optionally the names `classes`. Images become square, with the size of
    the first one and at most 64 pixels, and grey if all of them are. What cannot be read is a
    `UserError`.
    """
    name = str(path)
    if name in DATASETS:
        return DATASETS[name]
    classes, train, _ = _load(Path(path))
    pixels = train.images.float().div(255).transpose(0, 1).flatten(1)
    channels = train.images.shape[1]
    dataset = Dataset(
        name=name,
        title=Path(path).stem,
        classes=classes,
        channels=channels,
        size=train.images.shape[-1],
        mean=tuple(pixels.mean(1).tolist()),
        std=tuple(pixels.std(1).clamp(min=1e-3).tolist()),
        input="photo",
        flip_invariant=False,
        augmentations=AUGMENTATIONS + (("color-jitter",) if channels == 3 else ()),
        ood=(),
        train_size=len(train),
        archives=(),
        files=name,
        read=functools.partial(_read, Path(path)),
    )
    DATASETS[name] = dataset
    return dataset


def _read(path: Path, folder: Path, train: bool, unpack: bool) -> Split:
    content = _load(path)
    return content.train if train else content.test


@functools.cache
def _load(path: Path) -> _Content:
    try:
        content = _load_arrays(path) if path.suffix == ".npz" else _load_folder(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"The data set {str(path)!r} cannot be read ({error}). Give a folder with a folder of "
            f"images per class, or an .npz file with {', '.join(ARRAYS)}."
        ) from error
    if not 2 <= len(content.classes) <= MAX_CLASSES:
        raise UserError(
            f"The data set {str(path)!r} has {len(content.classes)} classes. "
            f"Give from 2 to {MAX_CLASSES}."
        )
    return content


def _load_arrays(path: Path) -> _Content:
    with np.load(path, allow_pickle=False) as arrays:
        x_train, y_train, x_test, y_test = (arrays[name] for name in ARRAYS)
        count = int(max(y_train.max(), y_test.max())) + 1
        names = arrays["classes"] if "classes" in arrays else range(count)
    classes = tuple(map(str, names))
    if len(classes) < count or min(y_train.min(), y_test.min()) < 0:
        raise ValueError("labels and classes do not fit")
    return _Content(
        classes, _split_from_arrays(x_train, y_train), _split_from_arrays(x_test, y_test)
    )


def _split_from_arrays(images: np.ndarray, labels: np.ndarray) -> Split:
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[:1] != labels.shape:
        raise ValueError("images are not uint8 (N, H, W) or (N, H, W, C) with a label each")
    if images.ndim == 3:
        images = images[..., None]
    if images.shape[1] != images.shape[2] or images.shape[3] not in (1, 3):
        raise ValueError("images are not square with 1 or 3 channels")
    if images.shape[1] > LARGEST:
        raise ValueError(f"images are larger than {LARGEST} pixels a side")
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return Split(tensor, torch.from_numpy(labels.astype(np.int64)))


def _load_folder(path: Path) -> _Content:
    parts = [path / "train", path / "test"]
    if not all(part.is_dir() for part in parts):
        parts = [path]
    classes = tuple(sorted(folder.name for folder in parts[0].iterdir() if folder.is_dir()))
    files = [
        [(file, label) for label, name in enumerate(classes) for file in _images(part / name)]
        for part in parts
    ]
    if len(parts) == 1:
        everything = files[0]
        files = [
            [item for index, item in enumerate(everything) if index % TEST_EVERY],
            everything[::TEST_EVERY],
        ]
    if not all(files):
        raise ValueError("it holds no images")
    images = [[(_open(file), label) for file, label in part] for part in files]
    is_grey = all(image.mode in ("1", "L") for part in images for image, _ in part)
    size = min(LARGEST, *images[0][0][0].size)
    train, test = (
        Split(
            torch.stack([_to_tensor(image, size, is_grey) for image, _ in part]),
            torch.tensor([label for _, label in part]),
        )
        for part in images
    )
    return _Content(classes, train, test)


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    known = Image.registered_extensions()
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in known)


def _open(file: Path) -> Image.Image:
    with Image.open(file) as image:
        image.load()
        return ImageOps.exif_transpose(image)


def _to_tensor(image: Image.Image, size: int, is_grey: bool) -> Tensor:
    """Crop the middle square and scale it: uint8 (C, size, size)."""
    square = ImageOps.fit(image.convert("L" if is_grey else "RGB"), (size, size))
    pixels = torch.from_numpy(np.array(square)).view(size, size, -1)
    return pixels.permute(2, 0, 1).contiguous()
