"""Digits drawn side by side are counted; the strokes of one digit are one."""

import os
from pathlib import Path

import numpy as np
import pytest

from cnn.data import pen_strokes, synthetic
from cnn.data.strokes import count_digits

EQUALS = [[(0, 0.3), (1, 0.3)], [(0, 0.7), (1, 0.7)]]
FOUR = [[(0.4, 0), (0, 0.6), (1, 0.6)], [(0.75, 0.3), (0.75, 1)]]
SEVEN = [[(0, 0), (1, 0), (0.4, 1)], [(0.3, 0.5), (0.9, 0.5)]]
FIVE = [[(0.1, 0), (0, 0.5), (0.9, 0.6), (0.8, 1), (0, 1)], [(0.1, 0), (1, 0)]]
MINUS_ONE = [[(0, 0.5), (0.4, 0.5)], [(0.8, 0), (0.8, 1)]]


def beside(*digits):
    """Return example digits in a row."""
    return [
        [(float(x) + 1.4 * place, float(y)) for x, y in stroke]
        for place, digit in enumerate(digits)
        for stroke in synthetic.example(digit)
    ]


@pytest.mark.parametrize("drawing", [[], [[]], EQUALS, FOUR, SEVEN, FIVE, MINUS_ONE, [[(1, 1)]]])
def test_the_strokes_of_one_digit_or_sign_are_one(drawing):
    assert count_digits(drawing) == 1


@pytest.mark.parametrize("digit", range(10))
def test_an_example_digit_is_one_and_beside_others_several(digit):
    assert count_digits(beside(digit)) == 1
    assert count_digits(beside(digit, 8)) == 2
    assert count_digits(beside(2, digit, 0)) == 3


@pytest.mark.parametrize("name", ["pendigits_train", "unipen_digits"])
def test_digits_of_pen_writers_are_one_each(name):
    path = Path(os.environ.get("CNN_DATA", ""), "strokes", f"{name}.npz")
    if not path.exists():
        pytest.skip(f"needs {path.name} in the folder CNN_DATA")
    counts = np.array([count_digits(drawing) for drawing in pen_strokes.read_npz(path).drawings])
    assert (counts > 1).mean() <= 0.005
