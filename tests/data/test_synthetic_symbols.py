"""Synthetic symbols are many, vary, and need no files."""

import numpy as np

from cnn.data.synthetic_symbols import SYMBOLS, synthetic_symbols


def test_the_same_seed_draws_the_same_symbols():
    images = synthetic_symbols(60, seed=3)
    assert images.shape == (60, 28, 28)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, synthetic_symbols(60, seed=3))
    assert (images != synthetic_symbols(60, seed=4)).any()


def test_no_two_symbols_are_drawn_alike_and_none_is_blank():
    images = synthetic_symbols(2 * len(SYMBOLS), seed=0)
    assert len({image.tobytes() for image in images}) == len(images)
    assert images.reshape(len(images), -1).max(1).min() > 100
