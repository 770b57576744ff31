"""Drawings that are no digits: the default network is never confident about them."""

import math

import pytest

from cnn.data.drawings import digit_from_strokes
from cnn.evaluation.prediction import predict
from cnn.models import checkpoints


def _arc(x, y, radius, start, end, steps=24):
    """Points on a circle from one angle to another, in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [[x + radius * math.cos(a), y + radius * math.sin(a)] for a in angles]


DRAWINGS = {
    "heart": [[[50, 95], *_arc(28, 35, 23, 150, 350), *_arc(72, 35, 23, 190, 390), [50, 95]]],
    "heart in two strokes": [
        [[50, 30], [40, 12], [22, 8], [8, 24], [10, 46], [28, 72], [50, 94]],
        [[50, 30], [60, 12], [78, 8], [92, 24], [90, 46], [72, 72], [50, 94]],
    ],
    "smiley": [
        _arc(50, 50, 48, 0, 360),
        _arc(32, 36, 4, 0, 360, 8),
        _arc(68, 36, 4, 0, 360, 8),
        _arc(50, 52, 26, 20, 160),
    ],
    "sad face": [
        _arc(50, 50, 48, 0, 360),
        [[32, 30], [32, 42]],
        [[68, 30], [68, 42]],
        _arc(50, 86, 22, 210, 330),
    ],
    "star": [[[50, 2], [79, 92], [3, 36], [97, 36], [21, 92], [50, 2]]],
    "arabic 2": [[[72, 4], [66, 16], [48, 20], [30, 14], [26, 4]], [[26, 4], [32, 50], [36, 98]]],
    "arabic 3": [
        [[90, 4], [84, 18], [68, 18], [58, 6], [52, 18], [36, 18], [24, 4], [30, 50], [34, 98]]
    ],
    "arabic 4": [[[74, 6], [44, 12], [34, 28], [60, 46], [32, 58], [24, 78], [46, 94], [80, 96]]],
    "arabic 7": [[[10, 4], [30, 50], [50, 96], [70, 50], [90, 4]]],
    "arabic 8": [[[10, 96], [30, 50], [50, 4], [70, 50], [90, 96]]],
    "devanagari 7": [
        [[36, 32], [50, 42], [64, 28], [54, 10], [26, 12], [10, 44], [26, 84], [62, 94], [92, 68]],
    ],
    "devanagari 9": [
        [[34, 30], [54, 40], [66, 24], [46, 8], [26, 26], [38, 52], [66, 50], [46, 62], [92, 98]],
    ],
    "devanagari 4": [
        [[18, 4], [46, 46], [70, 78], [62, 96], [40, 96], [32, 78], [54, 46], [82, 4]],
    ],
    "devanagari 6": [
        [[68, 4], [38, 10], [34, 32], [60, 44], [30, 56], [26, 78], [50, 88], [72, 74], [88, 98]],
    ],
    "devanagari 8": [[[88, 6], [40, 10], [18, 36], [22, 70], [48, 92], [90, 98]]],
}


@pytest.fixture(scope="module")
def checkpoint():
    return checkpoints.load_default(checkpoints.BUNDLED, "mnist")


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_of_something_else_is_not_a_confident_digit(checkpoint, name):
    assert predict(checkpoint, digit_from_strokes(DRAWINGS[name])).verdict != "confident"
