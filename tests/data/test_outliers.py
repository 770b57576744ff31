"""Outliers show none of a data set's classes, and the last tenth of each source is held out."""

import pickle

import numpy as np
import pytest
import torch

from cnn import UserError
from cnn.data import outliers
from cnn.data.datasets import CIFAR10, MNIST


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """A root with five images of each of four classes, in the layout of torchvision's CIFAR100."""
    names = ["apple", "bus", "rose", "tiger"]
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    labels = [0, 1, 2, 3] * 5
    data = np.repeat(np.array(labels, np.uint8)[:, None], 3072, axis=1)
    for split in ("train", "test"):
        with (folder / split).open("wb") as file:
            pickle.dump({"data": data, "fine_labels": labels}, file)
    with (folder / "meta").open("wb") as file:
        pickle.dump({"fine_label_names": names}, file)
    monkeypatch.setenv("CNN_DATA", str(tmp_path))


def _images(count: int, shape=(1, 28, 28)) -> np.ndarray:
    values = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return np.broadcast_to(values, (count, *shape)).copy()


def test_of_cifar100_the_classes_unlike_cifar10s_are_read_class_by_class(cifar100):
    images = outliers.outlier_images("cifar100", CIFAR10)
    assert images.dtype == torch.uint8
    assert images.shape == (10, 3, 32, 32)
    assert images[:, 0, 0, 0].tolist() == [0] * 5 + [2] * 5  # apples and roses


def test_seventy_eight_classes_of_cifar100_are_unlike_cifar10s():
    assert len(set(outliers.LIKE_CIFAR10)) == 22


def test_a_file_of_images_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", images=_images(20))
    images = outliers.outlier_images(str(tmp_path / "a.npz"), MNIST)
    assert images[:, 0, 0, 0].tolist() == list(range(20))


def test_the_last_tenth_of_each_source_is_held_out(tmp_path):
    for name, count in (("a", 20), ("b", 50)):
        np.savez(tmp_path / f"{name}.npz", images=_images(count))
    names = tuple(str(tmp_path / f"{name}.npz") for name in "ab")
    train, held_out = outliers.load(names, MNIST)
    assert train[:, 0, 0, 0].tolist() == [*range(18), *range(45)]
    assert held_out[:, 0, 0, 0].tolist() == [18, 19, *range(45, 50)]


def test_images_of_another_size_are_refused(cifar100):
    with pytest.raises(UserError, match="'cifar100' have the shape .3, 32, 32. .* MNIST"):
        outliers.outlier_images("cifar100", MNIST)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {"pictures": _images(2)},
        {"images": _images(2).astype(float)},
        {"images": _images(2)[0]},
    ],
    ids=["no file", "no images", "no uint8", "no batch"],
)
def test_a_file_that_holds_no_images_is_refused(tmp_path, content):
    if content:
        np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(UserError, match="a.npz.*Choose cifar100, .* or an .npz file"):
        outliers.outlier_images(str(tmp_path / "a.npz"), MNIST)
