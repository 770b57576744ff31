"""Data sets of one's own come from folders of images and from arrays."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnn import UserError
from cnn.data import custom, datasets


@pytest.fixture(autouse=True)
def known_datasets(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(custom, "DATASETS", dict(datasets.DATASETS))
    custom._load.cache_clear()


def _write_folder(folder, count=12, mode="RGB", size=(40, 40)):
    for label, color in enumerate(((200, 0, 0), (0, 0, 200))):
        (folder / f"class {label}").mkdir(parents=True)
        for number in range(count):
            image = Image.new("RGB", size, color).convert(mode)
            image.putpixel((number, 0), image.getpixel((0, 5)))
            image.save(folder / f"class {label}" / f"{number:02}.png")


def test_a_folder_of_classes_becomes_a_data_set(tmp_path):
    _write_folder(tmp_path / "colors")
    dataset = custom.register_dataset(tmp_path / "colors")
    assert dataset.name == str(tmp_path / "colors") and dataset.title == "colors"
    assert dataset.classes == ("class 0", "class 1")
    assert (dataset.channels, dataset.size, dataset.train_size) == (3, 40, 20)
    train, test = (dataset.read(tmp_path, part, False) for part in (True, False))
    assert train.images.shape == (20, 3, 40, 40) and train.images.dtype == torch.uint8
    assert len(test) == 4 and set(test.labels.tolist()) == {0, 1}
    assert (train.images[train.labels == 0][:, 0, 20, 20] == 200).all()


def test_folders_called_train_and_test_are_the_two_sets(tmp_path):
    _write_folder(tmp_path / "train", count=5)
    _write_folder(tmp_path / "test", count=3)
    dataset = custom.register_dataset(tmp_path)
    assert [len(dataset.read(tmp_path, part, False)) for part in (True, False)] == [10, 6]


def test_grey_images_have_one_channel_and_large_ones_are_scaled_down(tmp_path):
    _write_folder(tmp_path, mode="L", size=(300, 200))
    dataset = custom.register_dataset(tmp_path)
    assert (dataset.channels, dataset.size) == (1, 64)
    assert len(dataset.mean) == len(dataset.std) == 1


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_arrays_become_a_data_set(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, *channels), dtype=np.uint8)
    labels = np.arange(30) % 3
    path = tmp_path / "own.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images[:6], y_test=labels[:6])
    dataset = custom.register_dataset(path)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.channels == (channels[0] if channels else 1)
    train = dataset.read(tmp_path, True, False)
    assert train.images[4, 0].tolist() == images.reshape(30, 16, 16, -1)[4, :, :, 0].tolist()
    assert dataset.mean[0] == pytest.approx(train.images[:, 0].float().mean().item() / 255)


def _arrays(**changes) -> dict[str, np.ndarray]:
    images, labels = np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2
    whole = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    return {name: array for name, array in (whole | changes).items() if array is not None}


BROKEN = {
    "missing": {"x_test": None},
    "floats": {"x_train": np.zeros((4, 8, 8))},
    "not square": {"x_train": np.zeros((4, 8, 9), np.uint8)},
    "two channels": {"x_train": np.zeros((4, 8, 8, 2), np.uint8)},
    "too large": {"x_train": np.zeros((4, 65, 65), np.uint8)},
    "fewer labels": {"y_train": np.arange(3) % 2},
    "negative labels": {"y_train": np.arange(4) - 1},
    "too few names": {"classes": np.array(["one"])},
    "objects": {"classes": np.array([None, None])},
    "one class": {"y_train": np.zeros(4, int), "y_test": np.zeros(4, int)},
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
def test_arrays_that_are_not_a_data_set_are_an_error(tmp_path, changes):
    np.savez(tmp_path / "own.npz", **_arrays(**changes))
    with pytest.raises(UserError, match="own.npz"):
        custom.register_dataset(tmp_path / "own.npz")


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        custom.register_dataset(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        custom.register_dataset(tmp_path / "missing")
