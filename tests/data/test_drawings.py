"""Drawings of every kind become what MNIST's network takes."""

import itertools
import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cnn import UserError
from cnn.data.datasets import MNIST, load
from cnn.data.drawings import MAX_POINTS, MAX_STROKES, digit_from_drawing, digit_from_strokes
from cnn.data.paper import find_digits
from cnn.data.photos import open_photo

SEVEN = [[(10, 10), (60, 10), (30, 90)], [(25, 50), (55, 50)]]


def drawn(size=200, corner=(50, 40), scale=1.0, pen=11, shape=None):
    """A seven of white ink on a black sheet, by a round pen."""
    height, width = shape or (size, size)
    sheet = Image.new("L", (width * 4, height * 4))
    draw, radius = ImageDraw.Draw(sheet), pen * scale * 2
    for stroke in SEVEN:
        points = (np.array(stroke) * scale + corner) * 4
        draw.line([tuple(point) for point in points], fill=255, width=round(radius * 2))
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(sheet.reduce(4))


def distance(one, other):
    """The difference of two images as a share of their ink, but for a shift of one pixel."""
    shifts = itertools.product((-1, 0, 1), repeat=2)
    shifted = (one.roll(shift, (2, 3)) for shift in shifts)
    return min(
        ((one - other).abs().sum() / torch.maximum(one, other).sum()).item() for one in shifted
    )


# Strokes


def test_strokes_become_an_image_of_mnists_shape():
    image = digit_from_strokes(SEVEN)
    assert image.shape == (1, 1, 28, 28)
    assert image.dtype == torch.float32
    assert image.min() == 0
    assert 0.9 < image.max() <= 1


@pytest.mark.parametrize("nothing", [[], [[]], [[], []]])
def test_no_strokes_give_a_blank_image(nothing):
    assert not digit_from_strokes(nothing).any()


def test_a_single_point_is_a_dot():
    assert digit_from_strokes([[(3, 4)]]).any()


def test_unit_and_position_of_strokes_do_not_matter():
    moved = [[(x * 7.5 - 3000, y * 7.5 + 20) for x, y in stroke] for stroke in SEVEN]
    assert torch.allclose(digit_from_strokes(moved), digit_from_strokes(SEVEN), atol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        7,
        "seven",
        {"strokes": []},
        b"\x00",
        [None],
        ["ab"],
        [3],
        [[1, 2]],
        [[None]],
        [["ab"]],
        [[(-(2**63), 0), (1, 1)]],
        [[(1, "2")]],
        [[("1", "2")]],
        [[(1, None)]],
        [[(True, False)]],
        [[{"x": 1, "y": 2}]],
        [[(1, 2), (3,)]],
        [[(1, 2, 3)]],
        [[[(1, 2)]]],
        [[[[[[[1]]]]]]],
        [[(1j, 2)]],
        [[(float("nan"), 0)]],
        [[(0, float("inf"))]],
        [[(1e300, 0)]],
        [[(10**400, 0)]],
        [[(-(10**12), 0)]],
        [[(0, 0)]] * (MAX_STROKES + 1),
        [[(0, 0)] * (MAX_POINTS + 1)],
        [[(0, 0)] * (MAX_POINTS // 2 + 1)] * 2,
        [[(0, 0)] * 1_000_000],
        [[]] * 1_000_000,
    ],
    ids=lambda wrong: repr(wrong)[:24],
)
def test_what_is_not_a_drawing_is_an_error(wrong):
    with pytest.raises(UserError, match=r"\. "):
        digit_from_strokes(wrong)


# Drawings


def test_a_drawing_looks_like_its_strokes():
    assert distance(digit_from_drawing(drawn(pen=12)), digit_from_strokes(SEVEN)) < 0.2


def test_a_drawing_fills_twenty_pixels_around_the_middle():
    digit = digit_from_drawing(drawn())[0, 0].numpy()
    rows, columns = np.nonzero(digit)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    centre = [np.average(np.arange(28), weights=digit.sum(axis)) for axis in (1, 0)]
    assert centre == pytest.approx([13.5, 13.5], abs=0.51)


@pytest.mark.parametrize(
    "other",
    [
        drawn(corner=(3, 100)),
        drawn(size=900, corner=(700, 60)),
        drawn(size=2000, corner=(1000, 900), scale=5),
        drawn(shape=(600, 130)),
        drawn(shape=(150, 1400), corner=(1300, 12)),
        255 - drawn(),
        40 + drawn() // 3,
        230 - drawn() // 3,
    ],
    ids=["moved", "in a corner", "large", "tall", "wide", "inverted", "grey", "grey inverted"],
)
def test_position_size_and_polarity_do_not_matter(other):
    assert distance(digit_from_drawing(other), digit_from_drawing(drawn())) < 0.12


@pytest.mark.parametrize("pen", [1, 2, 4, 36])
def test_a_hairline_and_a_brush_come_out_near_mnists_pen(pen):
    usual = digit_from_drawing(drawn()).sum()
    size, corner = 400, (100, 80)
    ink = digit_from_drawing(drawn(size, corner, scale=2.5, pen=pen)).sum()
    assert 0.7 * usual < ink < 1.8 * usual


def test_a_photographed_sheet_is_read_despite_shade_and_grain():
    ink = drawn(600, (150, 100), scale=4)
    y, x = np.mgrid[-1:1:600j, -1:1:600j]
    light = 140 + 80 * x - 20 * y - 15 * x * y - 10 * y * y
    grain = np.random.default_rng(0).normal(0, 3, ink.shape)
    sheet = (light * (1 - ink / 255 * 0.7) + grain).clip(0, 255).astype(np.uint8)
    assert distance(digit_from_drawing(sheet), digit_from_drawing(drawn())) < 0.15


@pytest.mark.parametrize("grey", [0, 90, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (28, 28), (3000, 40)])
def test_a_blank_sheet_gives_zeros(grey, shape):
    assert not digit_from_drawing(np.full(shape, grey, np.uint8)).any()


def test_a_photographed_blank_sheet_gives_zeros():
    y, x = np.mgrid[-1:1:400j, -1:1:300j]
    grain = np.random.default_rng(0).normal(0, 4, x.shape)
    sheet = (170 + 40 * x - 30 * y * y + grain).astype(np.uint8)
    assert not digit_from_drawing(sheet).any()


def test_a_crumb_on_a_photographed_sheet_is_not_a_digit():
    sheet = np.random.default_rng(0).normal(200, 2, (200, 200))
    sheet[90:94, 100:103] -= 20
    assert not digit_from_drawing(sheet.astype(np.uint8)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (5, 3000)])
def test_drawings_of_any_shape_give_an_image(shape):
    ink = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    digit = digit_from_drawing(ink)
    assert digit.shape == (1, 1, 28, 28)
    assert digit.isfinite().all()
    assert digit.min() >= 0
    assert digit.max() <= 1


@pytest.mark.skipif("CNN_DATA" not in os.environ, reason="CNN_DATA names no folder with MNIST")
def test_mnists_own_digits_come_out_nearly_unchanged():
    images = load(MNIST).test.images[:500] / 255
    digits = [digit_from_drawing(image[0].mul(255).byte().numpy()) for image in images]
    changes = [distance(*pair) for pair in zip(images.unsqueeze(1), digits, strict=True)]
    assert np.mean(changes) < 0.03
    assert np.median(changes) < 0.005


def test_a_photographed_digit_is_read_as_a_drawing(tmp_path):
    Image.fromarray(255 - drawn()).convert("RGB").save(tmp_path / "a.jpg", quality=90)
    (digit,) = find_digits(open_photo(tmp_path / "a.jpg"))
    assert distance(digit.image, digit_from_drawing(drawn())) < 0.1
