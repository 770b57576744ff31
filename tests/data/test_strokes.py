import time

import numpy as np
import pytest

from cnn import UserError
from cnn.data import synthetic
from cnn.data.strokes import BOX, MAX_ENCODED_LENGTH, PEN, decode, encode, rasterize, thin

TURN = np.linspace(0, 2 * np.pi, 100)
RING = np.stack([0.6 * np.cos(TURN), np.sin(TURN)], 1)
SEVEN = [[(0, 0), (60, 3), (30, 100)], [(15, 50), (60, 47)]]


def inked_box(image):
    rows, columns = np.nonzero(image)
    return np.ptp(columns) + 1, np.ptp(rows) + 1


def fastest(drawing, times=20):
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        rasterize(drawing)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_strokes_become_an_image_of_mnists_shape():
    image = rasterize([RING])
    assert image.shape == (28, 28)
    assert image.dtype == np.float32
    assert image.min() == 0
    assert image.max() == 1


@pytest.mark.parametrize("drawing", [[], [[]], [[], []]])
def test_a_blank_drawing_gives_zeros(drawing):
    assert not rasterize(drawing).any()


@pytest.mark.parametrize("drawing", [SEVEN, [RING], [[(3, 3), (9, 20)]]])
@pytest.mark.parametrize(
    ("scale", "shift"), [(1e-3, (0, 0)), (0.37, (5, 8)), (4, (-900, 70)), (1000, (1e4, -1e5))]
)
def test_position_and_size_of_a_drawing_do_not_matter(drawing, scale, shift):
    moved = [np.asarray(stroke) * scale + shift for stroke in drawing]
    np.testing.assert_allclose(rasterize(moved), rasterize(drawing), atol=1e-5)


@pytest.mark.parametrize("width", [1.6, PEN, 3.4])
@pytest.mark.parametrize("stretch", [(1, 1), (9, 1), (1, 40)])
def test_the_ink_fills_twenty_pixels_on_its_longer_side(width, stretch):
    assert max(inked_box(rasterize([RING * stretch], width))) == BOX


def test_proportions_are_kept():
    across, down = inked_box(rasterize([RING * (0.5, 1)]))
    assert down == BOX
    assert across == pytest.approx((BOX - PEN) * 0.3 + PEN, abs=1.5)


@pytest.mark.parametrize("drawing", [SEVEN, [RING], [[(0, 0), (0, 9), (9, 9)]]])
def test_the_centre_of_mass_lies_in_the_middle(drawing):
    image = rasterize(drawing)
    at = np.arange(28)
    middle = np.array([image.sum(1) @ at, image.sum(0) @ at]) / image.sum()
    assert np.abs(middle - 13.5).max() <= 0.5 + 1e-4


def test_a_straight_side_is_inked_in_full_up_to_the_edge_of_the_box():
    square = rasterize([[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]])
    assert square[4, 8:20] == pytest.approx(1)
    assert square[23, 8:20] == pytest.approx(1)
    assert square[:, 14].sum() == pytest.approx(2 * PEN, abs=0.01)


def test_a_drawing_heavy_at_one_end_stays_whole():
    heavy = [(x, y) for x in range(101) for y in (75, 100)] + [(50, 75), (50, 0)]
    assert inked_box(rasterize([heavy])) == (BOX, BOX)


@pytest.mark.parametrize(
    "drawing",
    [[[(7, 7)]], [[(7, 7), (7, 7)]], [[(7, 7)], [(7, 7)]], [[(0, 0), (1e-308, 5e-324)]]],
)
def test_a_dot_is_a_round_blot_as_wide_as_the_pen(drawing):
    image = rasterize(drawing)
    assert image.sum() == pytest.approx(np.pi * (PEN / 2) ** 2, rel=0.15)
    assert inked_box(image) in [(3, 3), (4, 4)]
    np.testing.assert_allclose(image, image.T)


def test_a_horizontal_stroke_is_as_wide_as_the_pen():
    image = rasterize([[(0, 0), (100, 0)]], width=2.4)
    assert image[:, 12:16].sum(0) == pytest.approx(2.4, abs=0.01)
    assert inked_box(image)[0] == BOX


def test_repeated_points_change_nothing():
    repeated = [np.repeat(stroke, 3, axis=0) for stroke in SEVEN]
    np.testing.assert_allclose(rasterize(repeated), rasterize(SEVEN), atol=1e-5)


def test_more_points_on_the_same_lines_change_little():
    line = np.linspace((0, 0), (60, 100), 4000)
    assert np.abs(rasterize([line]) - rasterize([[(0, 0), (60, 100)]])).max() < 1e-3
    many = [np.stack([0.6 * np.cos(t), np.sin(t)], 1) for t in [np.linspace(0, 2 * np.pi, 5000)]]
    assert np.abs(rasterize(many) - rasterize([RING])).max() < 0.02


def test_the_order_and_direction_of_strokes_do_not_matter():
    backwards = [stroke[::-1] for stroke in SEVEN[::-1]]
    np.testing.assert_allclose(rasterize(backwards), rasterize(SEVEN), atol=1e-5)


def test_a_speck_beside_the_digit_is_left_out():
    slip = [(200, 200), (201, 201)]
    np.testing.assert_array_equal(rasterize([*SEVEN, slip, [(-90, 300)]]), rasterize(SEVEN))


def test_a_digit_made_of_dots_alone_keeps_them():
    dots = [[(x, y)] for x, y in np.linspace((0, 0), (10, 100), 12)]
    assert inked_box(rasterize(dots))[1] == BOX


def test_a_wider_pen_leaves_more_ink():
    amounts = [rasterize(SEVEN, width).sum() for width in (1.6, 2.4, 3.4)]
    assert amounts == sorted(amounts)


@pytest.mark.parametrize("digit", range(10))
def test_a_drawing_looks_the_same_after_encoding_and_decoding(digit):
    drawn = synthetic.example(digit)
    text = encode(drawn)
    assert len(text) < 1_200 and text.replace("-", "").isalnum()
    assert np.abs(rasterize(decode(text)) - rasterize(drawn)).max() < 0.1
    assert len(decode(text)) == len(drawn)


def test_a_very_long_drawing_is_encoded_within_the_limit():
    scribble = np.random.default_rng(0).random((50, 1000, 2)).tolist()
    assert len(encode(scribble)) < MAX_ENCODED_LENGTH
    assert len(decode(encode(scribble))) == 50


@pytest.mark.parametrize("drawing", [[], [[]]])
def test_a_blank_drawing_is_encoded_as_no_text(drawing):
    assert encode(drawing) == ""


@pytest.mark.parametrize(
    "text", ["", "-", "abc", "ABCD", "abcd-", "abcd--abcd", "äbcd", "0" * 8000]
)
def test_text_that_is_not_a_drawing_is_an_error(text):
    with pytest.raises(UserError, match="not whole"):
        decode(text)


def _dense(strokes, count: int) -> list:
    """The same lines with `count` points each."""
    places = np.linspace(0, 1, count)
    return [
        np.stack(
            [
                np.interp(places, np.linspace(0, 1, len(stroke)), axis)
                for axis in np.transpose(stroke)
            ],
            1,
        ).tolist()
        for stroke in strokes
    ]


@pytest.mark.parametrize("digit", range(10))
def test_a_thinned_drawing_looks_the_same(digit):
    drawn = _dense(synthetic.example(digit), 5_000)
    thinned = thin(drawn)
    assert sum(map(len, thinned)) <= 520
    assert np.abs(rasterize(thinned) - rasterize(drawn)).max() < 0.02


def test_a_drawing_of_few_points_is_not_thinned():
    drawn = [[[0.0, 0.0], [1.0, 0.5]], [[0.5, 0.5]]]
    assert thin(drawn) == [drawn[0], drawn[1] * 2]
    assert thin([]) == thin([[]]) == []
