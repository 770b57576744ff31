"""Augmented images keep their shape, dtype and range."""

import pytest
import torch

from cnn.data import augmentation
from cnn.data.augmentation import AUGMENTATIONS
from cnn.data.datasets import DATASETS

every_change = pytest.mark.parametrize("name", AUGMENTATIONS)
SHAPES = [(5, 1, 28, 28), (4, 3, 32, 32), (1, 1, 28, 28)]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(shape=(6, 3, 32, 32)) -> torch.Tensor:
    return torch.rand(shape, generator=_generator(7))


def _dot() -> torch.Tensor:
    """Two hundred images of one white pixel in the middle of black."""
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 14, 14] = 1
    return images


@every_change
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_and_range_are_kept(name, shape):
    for images in (_images(shape), torch.zeros(shape), torch.ones(shape)):
        changed = AUGMENTATIONS[name](images, _generator())
        assert changed.shape == shape
        assert changed.min() >= -1e-6 and changed.max() <= 1 + 1e-6


@every_change
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_dtype_is_kept(name, dtype):
    images = _images().to(dtype)
    assert AUGMENTATIONS[name](images, _generator()).dtype == dtype


@every_change
def test_the_same_generator_gives_the_same_images_and_another_one_others(name):
    images = _images()
    first, again, other = (AUGMENTATIONS[name](images, _generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_change
def test_torchs_global_generator_is_not_used(name):
    before = torch.get_rng_state()
    AUGMENTATIONS[name](_images(), _generator())
    assert torch.equal(torch.get_rng_state(), before)


@every_change
def test_the_inputs_are_not_changed(name):
    images = _images()
    before = images.clone()
    AUGMENTATIONS[name](images, _generator())
    assert torch.equal(images, before)


@every_change
def test_the_images_of_a_batch_are_changed_independently(name):
    images = _images((1, 3, 32, 32)).expand(12, -1, -1, -1)
    assert len(AUGMENTATIONS[name](images, _generator()).flatten(1).unique(dim=0)) > 1


@every_change
def test_the_memory_format_changes_nothing(name):
    images = _images()
    columns = images.contiguous(memory_format=torch.channels_last)
    changed = (AUGMENTATIONS[name](kind, _generator()) for kind in (images, columns))
    assert torch.allclose(*changed, atol=1e-6)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_the_augmentations_of_a_data_set_fit_it(dataset):
    images = _images((3, dataset.channels, dataset.size, dataset.size))
    for name in dataset.augmentations:
        if name == "alternating-flip":
            assert dataset.flip_invariant, "a mirrored digit is another digit"
        else:
            assert AUGMENTATIONS[name](images, _generator()).shape == images.shape


def test_only_the_masked_images_are_flipped():
    images = _images()
    mask = torch.tensor([True, False, True, False, False, True])
    flipped = augmentation.flip(images, mask)
    assert torch.equal(flipped[mask], images[mask].flip(-1))
    assert torch.equal(flipped[~mask], images[~mask])
    assert torch.equal(augmentation.flip(flipped, mask), images)


@pytest.mark.parametrize(("name", "max_shift"), [("translate-4", 4), ("translate-2", 2)])
def test_translation_moves_by_whole_pixels_up_to_its_maximum(name, max_shift):
    moved = AUGMENTATIONS[name](_dot(), _generator())
    assert moved.sum((1, 2, 3)).tolist() == [1] * 200
    _, _, rows, columns = moved.nonzero(as_tuple=True)
    for offsets in (rows, columns):
        assert sorted(set((offsets - 14).tolist())) == list(range(-max_shift, max_shift + 1))


def test_translation_reflects_the_edge_into_the_gap():
    ramp = torch.arange(28.0).expand(60, 1, 28, 28)
    for row in augmentation.translate(ramp, _generator())[:, 0, 0]:
        steps = row.diff().abs()
        assert (steps == 1).all(), "neither a jump nor a repeated edge"


def test_cutout_greys_a_square_and_nothing_else():
    images = _images((20, 3, 32, 32))
    cut = augmentation.cutout(images, _generator())
    hole = (cut != images).any(1)
    assert hole.sum((1, 2)).tolist() == [12 * 12] * 20
    assert torch.allclose(cut[:, 0][hole], images[:, 0].mean())


def test_affine_keeps_a_dot_near_the_middle_and_moves_most_of_them():
    blot = torch.zeros(40, 1, 28, 28)
    blot[:, :, 12:16, 12:16] = 1
    moved = augmentation.affine(blot, _generator())[:, 0]
    index = torch.arange(28.0) - 13.5
    down = (moved.sum(2) * index).sum(1) / moved.sum((1, 2))
    assert down.abs().max() <= 28 * 0.2 / 2 * 1.25
    assert down.std() > 0.5


def test_elastic_leaves_most_of_a_digit_in_place():
    blot = torch.zeros(20, 1, 28, 28)
    blot[:, :, 8:20, 8:20] = 1
    bent = augmentation.elastic(blot, _generator())
    overlap = (bent * blot).sum((1, 2, 3)) / blot.sum((1, 2, 3))
    assert overlap.min() > 0.7
    assert not torch.allclose(bent, blot, atol=0.1)


def test_strokes_are_eroded_and_dilated():
    stroke = torch.zeros(40, 1, 28, 28)
    stroke[:, :, 4:24, 13:16] = 1
    ink = augmentation.erode_dilate(stroke, _generator()).sum((1, 2, 3)) / stroke[0].sum()
    assert ink.min() < 0.7 and ink.max() > 1.5


def test_color_jitter_stays_within_its_range():
    grey = torch.full((40, 3, 32, 32), 0.4)
    changed = augmentation.color_jitter(grey, _generator())
    assert changed.min() >= 0.4 * 0.75 - 1e-6 and changed.max() <= 0.4 * 1.25 + 1e-6
    assert changed.amax((1, 2, 3)).std() > 0.02
