"""Data sets: how many images, of which classes, and which are held out for validation."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cnn import UserError
from cnn.data import datasets
from cnn.data.datasets import CIFAR10, DATASETS, MNIST, SYNTHETIC, Split

needs_data = pytest.mark.skipif(
    not Path(os.environ.get("CNN_DATA", "no folder")).is_dir(),
    reason="CNN_DATA names no folder with MNIST and CIFAR-10",
)


def _numbered(count: int, classes: int = 10) -> Split:
    """Images that hold their own index, unevenly spread over the classes."""
    images = torch.arange(count).view(-1, 1, 1, 1)
    labels = (torch.arange(count).float().div(count).square() * classes).long()
    return Split(images, labels)


NUMBERED = replace(MNIST, read=lambda _, train, __: _numbered(1_000 if train else 200))


@pytest.fixture(scope="module")
def synthetic():
    return datasets.load(SYNTHETIC)


def _unreadable(fault: Exception):
    def read(*_):
        raise fault

    return replace(MNIST, read=read, archives=())


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_a_data_set_is_found_by_its_name_and_describes_itself(dataset):
    assert datasets.get_dataset(dataset.name) is dataset
    assert len(dataset.mean) == len(dataset.std) == dataset.channels
    assert len(set(dataset.classes)) == 10
    assert dataset.title and dataset.files


def test_an_unknown_name_is_an_error_that_lists_the_others():
    with pytest.raises(UserError, match="'imagenet'.*mnist, cifar10, synthetic"):
        datasets.get_dataset("imagenet")


def test_training_and_validation_images_make_up_the_whole_set():
    train, validation, test = datasets.load(NUMBERED, 170)
    assert len(validation) == 170
    assert sorted(torch.cat([train.images, validation.images]).flatten().tolist()) == list(
        range(1_000)
    )
    assert torch.equal(test.images, _numbered(200).images)


def test_images_keep_their_labels():
    whole = _numbered(1_000)
    for part in datasets.load(NUMBERED, 170)[:2]:
        assert torch.equal(part.labels, whole.labels[part.images.flatten()])


def test_each_class_is_held_out_equally_often():
    validation = datasets.load(NUMBERED, 170).validation
    assert torch.bincount(validation.labels, minlength=10).tolist() == [17] * 10


def test_the_same_images_are_held_out_every_time():
    first, again = (datasets.load(NUMBERED, 100).validation for _ in range(2))
    assert torch.equal(first.images, again.images)


def test_a_smaller_validation_set_is_part_of_a_larger_one():
    small, large = (datasets.load(NUMBERED, count).validation for count in (50, 100))
    assert set(small.images.flatten().tolist()) < set(large.images.flatten().tolist())


def test_validation_images_are_not_simply_the_first_ones():
    chosen = datasets.load(NUMBERED, 100).validation.images.flatten().float()
    assert abs(chosen[_numbered(1_000).labels[chosen.long()] == 0].mean() - 158) < 80


def test_cached_images_are_read_once_and_split_anew(monkeypatch):
    monkeypatch.setattr(datasets, "_cached", {})
    read = []
    counted = replace(NUMBERED, read=lambda *asked: read.append(asked) or NUMBERED.read(*asked))
    for size in (50, 100):
        for kept, loaded in zip(
            datasets.load_cached(counted, size), datasets.load(NUMBERED, size), strict=True
        ):
            assert torch.equal(kept.images, loaded.images)
    assert len(read) == 2


def test_a_tenth_is_held_out_by_default():
    assert len(datasets.load(NUMBERED).validation) == 100


@pytest.mark.parametrize("size", [0, -1, 1_000, 5_000])
def test_an_impossible_validation_size_is_an_error_that_names_the_range(size):
    with pytest.raises(UserError, match=f" of {size:,} images .* Choose from 1 to 999"):
        datasets.load(NUMBERED, size)


@pytest.mark.parametrize(
    "fault", [OSError("no route"), RuntimeError("Dataset not found"), EOFError(), ValueError()]
)
def test_without_files_and_network_the_error_names_files_and_folder(fault, monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_DATA", str(tmp_path))
    with pytest.raises(UserError) as caught:
        datasets.load(_unreadable(fault))
    assert str(tmp_path) in str(caught.value)
    assert MNIST.files in str(caught.value)
    assert "CNN_DATA" in str(caught.value)


def test_the_folder_is_that_of_the_variable_or_one_beside_the_package(monkeypatch):
    monkeypatch.setenv("CNN_DATA", "/some/where")
    assert datasets.folder() == Path("/some/where")
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("CNN_DATA")
        else:
            monkeypatch.setenv("CNN_DATA", unset)
        assert datasets.folder() == Path(datasets.__file__).parents[2] / "data"


def test_test_images_are_never_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_DATA", str(tmp_path))
    for dataset in (MNIST, CIFAR10):
        with pytest.raises(UserError, match=f"{dataset.title} are not on this machine"):
            datasets.load_test(dataset)
    assert not list(tmp_path.rglob("*ubyte*"))


def test_test_images_are_read_once(synthetic):
    test = datasets.load_test(SYNTHETIC)
    assert torch.equal(test.images, synthetic.test.images)
    assert datasets.load_test(SYNTHETIC) is test


def test_a_split_is_indexed_like_a_tensor():
    whole = _numbered(10)
    assert len(whole) == 10
    assert whole[2:5].images.flatten().tolist() == [2, 3, 4]
    assert whole[whole.labels == 0].labels.unique().tolist() == [0]
    assert whole[torch.tensor([7, 7])].images.flatten().tolist() == [7, 7]


def test_synthetic_digits_need_no_files_and_are_12000(synthetic):
    assert [len(part) for part in synthetic] == [9_000, 1_000, 2_000]
    for part in synthetic:
        assert part.images.dtype == torch.uint8 and part.labels.dtype == torch.int64
        assert part.images.shape[1:] == (1, 28, 28)
        assert part.images.amax((1, 2, 3)).min() > 100, "an image without ink"
        assert part.labels.unique().tolist() == list(range(10))


def test_no_synthetic_test_digit_is_a_training_digit(synthetic):
    training = {image.numpy().tobytes() for image in synthetic.train.images}
    assert len(training) > 8_900
    assert not any(image.numpy().tobytes() in training for image in synthetic.test.images)


@needs_data
@pytest.mark.parametrize(
    ("dataset", "counts"),
    [(MNIST, [55_000, 5_000, 10_000]), (CIFAR10, [45_000, 5_000, 10_000])],
    ids=["mnist", "cifar10"],
)
def test_the_real_sets_have_their_sizes_classes_means_and_deviations(dataset, counts):
    splits = datasets.load(dataset)
    assert [len(part) for part in splits] == counts
    for part in splits:
        assert part.images.dtype == torch.uint8 and part.labels.dtype == torch.int64
        assert part.images.shape[1:] == (dataset.channels, dataset.size, dataset.size)
    sample = splits.train.images[:5_000].float() / 255
    assert sample.mean((0, 2, 3)).tolist() == pytest.approx(dataset.mean, abs=0.01)
    assert sample.std((0, 2, 3)).tolist() == pytest.approx(dataset.std, abs=0.01)
    fractions = torch.bincount(splits.test.labels) / len(splits.test)
    assert fractions.sub(0.1).abs().max() < 0.02
