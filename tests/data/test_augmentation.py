"""Pictures changed at random keep their shape, their type and their range."""

import pytest
import torch

from cnn.data import augmentation
from cnn.data.augmentation import AUGMENTATIONS
from cnn.data.datasets import DATASETS

every_change = pytest.mark.parametrize("name", AUGMENTATIONS)
SHAPES = [(5, 1, 28, 28), (4, 3, 32, 32), (1, 1, 28, 28)]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pictures(shape=(6, 3, 32, 32)) -> torch.Tensor:
    return torch.rand(shape, generator=_generator(7))


def _dot() -> torch.Tensor:
    """Two hundred pictures of one white pixel in the middle of black."""
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 14, 14] = 1
    return images


@every_change
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_and_range_stay(name, shape):
    for images in (_pictures(shape), torch.zeros(shape), torch.ones(shape)):
        changed = AUGMENTATIONS[name](images, _generator())
        assert changed.shape == shape
        assert changed.min() >= -1e-6 and changed.max() <= 1 + 1e-6


@every_change
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_type_stays(name, dtype):
    images = _pictures().to(dtype)
    assert AUGMENTATIONS[name](images, _generator()).dtype == dtype


@every_change
def test_the_same_generator_gives_the_same_pictures_and_another_one_others(name):
    images = _pictures()
    first, again, other = (AUGMENTATIONS[name](images, _generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_change
def test_torchs_own_generator_is_left_alone(name):
    before = torch.get_rng_state()
    AUGMENTATIONS[name](_pictures(), _generator())
    assert torch.equal(torch.get_rng_state(), before)


@every_change
def test_the_pictures_given_are_left_as_they_were(name):
    images = _pictures()
    before = images.clone()
    AUGMENTATIONS[name](images, _generator())
    assert torch.equal(images, before)


@every_change
def test_pictures_of_a_batch_are_changed_each_in_its_own_way(name):
    images = _pictures((1, 3, 32, 32)).expand(12, -1, -1, -1)
    assert len(AUGMENTATIONS[name](images, _generator()).flatten(1).unique(dim=0)) > 1


@every_change
def test_memory_order_changes_nothing(name):
    images = _pictures()
    columns = images.contiguous(memory_format=torch.channels_last)
    changed = (AUGMENTATIONS[name](kind, _generator()) for kind in (images, columns))
    assert torch.allclose(*changed, atol=1e-6)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_what_a_data_set_recommends_is_there_and_fits_it(dataset):
    images = _pictures((3, dataset.channels, dataset.size, dataset.size))
    for name in dataset.augmentations:
        if name == "alternating-flip":
            assert dataset.flip_invariant, "a mirrored digit is another digit"
        else:
            assert AUGMENTATIONS[name](images, _generator()).shape == images.shape


def test_flipping_mirrors_the_chosen_pictures_and_no_others():
    images = _pictures()
    chosen = torch.tensor([True, False, True, False, False, True])
    flipped = augmentation.flip(images, chosen)
    assert torch.equal(flipped[chosen], images[chosen].flip(-1))
    assert torch.equal(flipped[~chosen], images[~chosen])
    assert torch.equal(augmentation.flip(flipped, chosen), images)


@pytest.mark.parametrize(("name", "furthest"), [("translate-4", 4), ("translate-2", 2)])
def test_a_shift_moves_by_whole_pixels_up_to_its_furthest(name, furthest):
    moved = AUGMENTATIONS[name](_dot(), _generator())
    assert moved.sum((1, 2, 3)).tolist() == [1] * 200
    _, _, rows, columns = moved.nonzero(as_tuple=True)
    for places in (rows, columns):
        assert sorted(set((places - 14).tolist())) == list(range(-furthest, furthest + 1))


def test_a_shift_reflects_the_edge_into_the_gap():
    ramp = torch.arange(28.0).expand(60, 1, 28, 28)
    for row in augmentation.shift(ramp, _generator())[:, 0, 0]:
        steps = row.diff().abs()
        assert (steps == 1).all(), "neither a jump nor a repeated edge"


def test_a_cut_out_square_is_grey_and_the_rest_is_untouched():
    images = _pictures((20, 3, 32, 32))
    cut = augmentation.cutout(images, _generator())
    hole = (cut != images).any(1)
    assert hole.sum((1, 2)).tolist() == [12 * 12] * 20
    assert torch.allclose(cut[:, 0][hole], images[:, 0].mean())


def test_a_warp_keeps_a_dot_near_the_middle_and_moves_most_of_them():
    blot = torch.zeros(40, 1, 28, 28)
    blot[:, :, 12:16, 12:16] = 1
    warped = augmentation.warp(blot, _generator())[:, 0]
    place = torch.arange(28.0) - 13.5
    down = (warped.sum(2) * place).sum(1) / warped.sum((1, 2))
    assert down.abs().max() <= 28 * 0.2 / 2 * 1.25
    assert down.std() > 0.5


def test_bending_leaves_most_of_a_digit_in_place():
    blot = torch.zeros(20, 1, 28, 28)
    blot[:, :, 8:20, 8:20] = 1
    bent = augmentation.elastic(blot, _generator())
    overlap = (bent * blot).sum((1, 2, 3)) / blot.sum((1, 2, 3))
    assert overlap.min() > 0.7
    assert not torch.allclose(bent, blot, atol=0.1)


def test_pens_become_thicker_and_thinner():
    stroke = torch.zeros(40, 1, 28, 28)
    stroke[:, :, 4:24, 13:16] = 1
    ink = augmentation.thickness(stroke, _generator()).sum((1, 2, 3)) / stroke[0].sum()
    assert ink.min() < 0.7 and ink.max() > 1.5


def test_colours_change_by_no_more_than_promised():
    grey = torch.full((40, 3, 32, 32), 0.4)
    changed = augmentation.color(grey, _generator())
    assert changed.min() >= 0.4 * 0.75 - 1e-6 and changed.max() <= 0.4 * 1.25 + 1e-6
    assert changed.amax((1, 2, 3)).std() > 0.02
