"""Synthetic symbols, characters and numbers are many, vary, and need no files."""

import numpy as np
import pytest
from scipy import ndimage

from cnn.data.synthetic_symbols import SYMBOLS, invented_characters, numbers, synthetic_symbols


@pytest.mark.parametrize("draw", [synthetic_symbols, invented_characters, numbers])
def test_the_same_seed_draws_the_same_symbols(draw):
    images = draw(60, seed=3)
    assert images.shape == (60, 28, 28)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, draw(60, seed=3))
    assert (images != draw(60, seed=4)).any()


@pytest.mark.parametrize("draw", [invented_characters, numbers])
def test_no_two_characters_or_numbers_are_alike_and_none_is_blank(draw):
    images = draw(80, seed=0)
    assert len({image.tobytes() for image in images}) == len(images)
    assert images.reshape(len(images), -1).max(1).min() > 100


def test_most_numbers_stand_side_by_side():
    parts = [ndimage.label(image > 140)[1] for image in numbers(60, seed=0)]
    assert np.mean(np.array(parts) >= 2) > 0.6


def test_no_two_symbols_are_drawn_alike_and_none_is_blank():
    images = synthetic_symbols(2 * len(SYMBOLS), seed=0)
    assert len({image.tobytes() for image in images}) == len(images)
    assert images.reshape(len(images), -1).max(1).min() > 100
