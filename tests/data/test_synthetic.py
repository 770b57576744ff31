import numpy as np
import pytest

from cnn.data.strokes import rasterize
from cnn.data.synthetic import GLYPHS, example, sample_strokes, synthetic_digits

DIGITS = range(10)


@pytest.mark.parametrize("digit", DIGITS)
def test_an_example_lies_inside_the_unit_square(digit):
    points = np.concatenate(example(digit))
    assert 30 <= len(points) <= 60
    assert points.min() >= 0
    assert points.max() <= 1
    assert np.ptp(points[:, 1]) > 0.9
    assert all(isinstance(number, float) for stroke in example(digit) for number in stroke[0])


@pytest.mark.parametrize("digit", DIGITS)
def test_the_points_of_an_example_are_evenly_spaced(digit):
    for stroke in example(digit):
        steps = np.hypot(*np.diff(stroke, axis=0).T)
        assert steps.min() > 0.7 * steps.max()


def test_examples_differ_from_one_another():
    images = np.stack([rasterize(example(digit)) for digit in DIGITS]).reshape(10, -1)
    apart = np.abs(images[:, None] - images[None]).sum(2) + 1e6 * np.eye(10)
    assert apart.min() > 20


@pytest.mark.parametrize("digit", DIGITS)
def test_every_digit_has_several_glyphs(digit):
    assert len(GLYPHS[digit]) >= 5
    generator = np.random.default_rng(0)
    written = [sample_strokes(digit, generator) for _ in range(300)]
    assert len({tuple(map(len, strokes)) for strokes in written}) >= 4


@pytest.mark.parametrize("digit", DIGITS)
def test_the_same_generator_writes_the_same_strokes(digit):
    one, other = (sample_strokes(digit, np.random.default_rng(7)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_two_digits_are_written_alike():
    generator = np.random.default_rng(0)
    images = {rasterize(sample_strokes(3, generator)).tobytes() for _ in range(50)}
    assert len(images) == 50


@pytest.mark.parametrize("digit", DIGITS)
def test_writing_does_not_change_the_glyphs(digit):
    before = example(digit)
    sample_strokes(digit, np.random.default_rng(0))
    assert example(digit) == before


def test_synthetic_digits_are_balanced_and_in_random_order():
    images, labels = synthetic_digits(500, seed=0)
    assert images.shape == (500, 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(labels), [50] * 10)
    assert (np.diff(labels) != 0).mean() > 0.8


def test_a_seed_decides_the_synthetic_digits():
    images, labels = synthetic_digits(40, seed=3)
    again, labels_again = synthetic_digits(40, seed=3)
    others, _ = synthetic_digits(40, seed=4)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (images != others).any()


def test_every_synthetic_digit_has_ink_within_the_image():
    images, _ = synthetic_digits(500, seed=1)
    ink_share = (images / 255).mean((1, 2))
    assert ink_share.min() > 0.02
    assert ink_share.max() < 0.5
    spans = [np.ptp(np.nonzero(image), axis=1).max() + 1 for image in images]
    assert set(spans) <= {19, 20}


def test_a_simple_classifier_tells_synthetic_digits_apart():
    images, labels = synthetic_digits(3000, seed=0)
    vectors = images.reshape(3000, -1) / 255
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known, asked = vectors[:2000], vectors[2000:]
    nearest = labels[:2000][(asked @ known.T).argmax(1)]
    assert (nearest == labels[2000:]).mean() > 0.85


def test_an_unknown_digit_is_an_error():
    with pytest.raises(KeyError):
        example(10)
