"""How people all over the world write digits, and a pen that writes as they do.

MNIST is American: it has few flagged ones, barred sevens and open fours. Written here, they
need no download. Points are (x, y), y down.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from cnn.data.strokes import SIDE, Strokes, rasterize

# How people write each digit: how common a way is, and its strokes. A stroke is a smooth line
# through its points "x,y" (a digit is 100 high, y down); at a point with "!" it turns a corner;
# "|" lifts the pen. The first way of each digit is the most legible.
GLYPHS = {
    0: (
        (6, "60,4 50,1 31,12 21,40 23,72 36,94 50,99 64,94 77,72 79,40 69,12 60,4 50,1 42,4"),
        (3, "62,8 44,0 26,16 20,50 30,86 52,100 74,84 80,46 68,12 46,0 34,12"),
        (2, "64,4 42,2 24,24 20,60 34,94 58,98 78,74 80,36 74,14"),
        (1, "40,2 60,2 78,26 80,62 64,96 40,98 22,72 22,32 42,4"),
        (1, "72,4 46,4 24,26 22,66 40,98 64,92 78,60 74,22 52,4 38,12 50,22 70,14"),
        (3, "54,0 30,12 20,50 30,88 50,100 70,88 80,50 70,12 50,0 | 74,16 26,84"),
        (2, "54,0 30,12 20,50 30,88 50,100 70,88 80,50 70,12 50,0 | 92,0 8,100"),
    ),
    1: (
        (3, "34,22 54,1! 54,99"),
        (6, "50,0 50,50 50,100"),
        (3, "62,0 50,50 40,100"),
        (1, "56,0 50,30 50,70 54,100"),
        (3, "22,40 54,0! 54,100"),
        (3, "12,58 36,32 56,0! 56,100"),
        (1, "10,74 40,38 58,0! 58,100"),
        (2, "30,24 52,0! 52,100 | 26,101 78,101"),
        (1, "14,46 52,0! 52,100 | 22,101 82,101"),
        (1, "50,0 50,100 | 28,101 72,101"),
        (3, "20,34 44,20 64,0! 40,100"),
        (1, "20,46 44,24 62,2 58,30 42,100"),
        (2, "36,40 54,0! 44,100"),
        (1, "40,60 54,0! 50,100"),
        (2, "8,44 40,24 68,0! 36,100"),
        (1, "40,44 44,24 56,2! 50,100"),
        (2, "12,48 52,0! 50,99! 22,100 82,98"),
        (1, "16,40 54,0! 52,100 | 12,100 92,100"),
        (3, "6,80 40,30 64,0! 60,100"),
        (2, "16,98 40,50 60,0! 62,100"),
        (2, "10,62 42,28 66,0! 44,100"),
        (1, "36,44 30,34 44,24 58,2! 54,100"),
    ),
    2: (
        (5, "23,25 31,8 50,1 70,8 76,26 68,46 46,71 22,98! 80,98"),
        (3, "20,30 30,8 56,0 76,16 72,42 50,72 20,98! 40,92 62,99 84,92"),
        (3, "22,22 46,0 72,14 68,46 42,82 22,96 14,84 28,76 52,92 86,96"),
        (2, "20,26 44,2 70,12 70,40 48,78 24,94 20,80 38,78 60,96 88,88"),
        (2, "22,12 46,4 76,10! 22,96! 82,96"),
        (2, "40,30 24,24 30,4 58,0 76,20 66,50 20,97! 84,97"),
        (1, "18,18 40,2 74,4 78,24 54,58 18,92! 52,84 90,98"),
        (1, "24,14 50,0 76,16 72,36 54,66 22,90 44,100 82,96"),
        (1, "20,14 50,0 78,14 66,40 40,66 32,86 50,96 78,94"),
    ),
    3: (
        (5, "24,13 36,3 54,1 70,11 71,30 60,43 42,47! 62,51 76,66 73,86 56,99 36,97 21,86"),
        (3, "22,14 48,0 72,14 64,38 44,48 68,54 78,76 56,100 20,88"),
        (2, "22,12 48,0 74,16 60,42 42,52 38,46 50,44 74,60 74,86 48,100 18,88"),
        (3, "22,4 76,4! 46,40! 70,48 78,74 56,100 20,90"),
        (1, "24,8 50,2 76,6! 44,42! 66,44 80,66 64,96 20,94"),
        (2, "26,10 52,0 72,16 52,44! 76,66 58,98 22,92"),
        (1, "18,8 50,0 70,20 36,48! 72,52 84,78 50,100 12,92"),
        (1, "20,4 70,2 60,24 44,38! 66,42 72,62 56,88 22,100"),
        (1, "28,10 52,0 70,14 52,34 44,44 62,46 66,60 50,90 26,100"),
    ),
    4: (
        (4, "35,2 22,60! 82,60 | 67,12 63,99"),
        (3, "32,2 26,54! 74,54 | 70,0 68,100"),
        (3, "26,4 24,40 36,54 72,48 | 72,0 68,100"),
        (2, "44,0 18,58! 84,56 | 56,34 50,100"),
        (4, "62,0 16,68! 88,68 | 62,0 62,100"),
        (2, "66,100 66,0! 14,62! 88,62"),
        (2, "30,4 24,54 50,58 70,46! 72,2! 68,100"),
        (2, "42,0 20,52! 76,50! 60,36! 54,100"),
        (1, "56,0 16,70! 90,66 | 64,46 60,100"),
        (2, "44,0 26,60 40,70 66,60 | 62,36 56,100"),
        (2, "46,0 28,60 38,68 62,36! 54,100"),
        (1, "52,0 34,40 30,70! 72,64 | 62,46 56,100"),
        (2, "30,2 22,30 26,50 48,54 70,44 72,2! 70,54 66,100"),
        (1, "26,2 24,54! 72,54! 72,6! 70,100"),
        (2, "50,0 30,50 28,72 44,72 62,52 64,40! 58,100"),
        (1, "34,0 28,56! 60,30! 50,100"),
    ),
    5: (
        (4, "33,2 28,45! 46,38 66,42 77,58 75,80 60,96 40,99 22,90 | 33,2 75,2"),
        (3, "34,6 28,44! 56,38 78,62 66,92 22,94 | 42,2 86,0"),
        (3, "76,3 34,3! 27,46! 54,37 77,56 70,88 44,100 20,90"),
        (2, "76,6 50,4 30,20 38,42 64,54 74,78 54,98 20,92"),
        (2, "28,10 28,50! 50,46 72,60 66,94 24,98 | 28,6 82,2"),
        (1, "80,0 38,6! 22,50! 62,44 72,72 40,100 14,84 26,78"),
    ),
    6: (
        (5, "64,2 46,14 30,38 23,64 30,88 49,99 69,91 76,73 67,57 49,53 33,62 26,76"),
        (3, "54,0 32,48 28,86 52,100 74,82 64,60 42,62 28,80"),
        (2, "30,0 24,50 30,88 54,100 76,80 64,58 42,58 26,74"),
        (2, "76,16 60,0 36,16 22,58 30,92 56,98 76,76 60,54 38,60 26,76"),
        (2, "70,0 38,30 24,74 42,100 68,92 68,72 46,68 30,84"),
        (1, "60,0 34,34 26,80 50,100 72,84 60,64 42,70 44,88 58,90"),
        (2, "66,0 44,26 30,60 32,92 50,100 62,84 52,70 32,78"),
        (1, "62,0 42,40 30,88 46,100 60,86 52,72 34,76"),
        (1, "62,0 42,40 34,84 50,100 66,84 54,68 20,74"),
    ),
    7: (
        (4, "22,3 78,3! 60,36 48,68 43,99"),
        (2, "20,6 80,2! 40,100"),
        (4, "20,4 78,4! 42,100 | 34,52 76,50"),
        (2, "22,24 22,5! 80,4! 46,100"),
        (2, "20,22 24,6! 80,4! 44,100 | 34,54 74,52"),
        (2, "16,16 30,4 54,10 82,2! 56,50 46,100"),
        (2, "16,16 30,4 54,10 82,2! 44,100 | 32,56 76,50"),
        (1, "20,8 56,2 76,8 72,30 54,64 46,100"),
        (1, "18,4 72,4! 60,40 58,100 | 40,48 82,48"),
        (2, "22,20 36,4 66,6 70,30 52,66 42,100 | 28,56 76,48"),
        (2, "20,10 50,4 76,6! 60,40 36,100 | 30,64 72,60"),
        (1, "20,22 34,4 58,12 78,4 66,30 46,64 40,100 | 36,46 76,40"),
        (2, "24,18 40,4 66,8 64,30 46,62 42,100 | 22,72 78,68"),
        (2, "18,4 82,4! 46,100 | 18,52 88,48"),
        (1, "14,14 16,4! 84,4! 52,50 44,100 | 16,58 90,50"),
        (2, "20,10 50,6 78,8! 54,50 34,96 22,84 44,64 82,58"),
        (2, "20,12 34,4 62,8 76,14! 36,98 | 14,70 46,62 88,66"),
    ),
    8: (
        (5, "66,7 50,1 34,7 29,25 50,48 74,69 70,91 50,99 30,91 26,69 50,48 71,25 66,7 50,1"),
        (2, "50,0 30,10 30,36 50,46 70,36 70,10 50,0 | 50,46 26,60 24,88 50,100 76,88 74,60 50,46"),
        (2, "74,8 56,36 30,66 32,94 60,100 74,80 56,50 30,28 36,4 60,2 74,14"),
        (2, "76,8 54,0 30,10 36,36 66,60 74,86 48,100 26,82 44,54 82,10"),
        (1, "50,46 28,32 32,6 54,0 72,14 66,36 48,48 26,66 28,92 54,100 76,84 70,60 46,44"),
        (2, "80,2 50,4 34,20 46,42 64,62 64,90 46,100 32,84 44,60 64,36 78,6"),
        (1, "62,4 44,2 36,20 54,44 66,70 54,100 38,88 44,60 60,34 62,4"),
        (1, "74,10 52,2 34,16 48,42 60,72 50,98 40,80 52,50 70,16"),
        (1, "60,2 48,30 30,74 50,98 72,76 54,46 40,16 52,2 66,14"),
    ),
    9: (
        (5, "74,24 67,7 50,1 33,7 26,24 33,42 50,49 66,42 74,24! 73,60 66,99"),
        (3, "74,20 50,0 26,20 34,46 62,40 75,10! 74,60 58,94 28,98"),
        (2, "72,18 48,0 26,22 38,48 64,38 74,8! 76,70 58,100 34,96 24,80"),
        (2, "68,6 40,4 24,26 38,48 64,38 78,8! 68,100"),
        (2, "70,12 48,0 26,18 32,46 56,46 72,22 | 74,2 70,100"),
        (2, "70,22 54,0 30,10 28,38 50,46 70,22! 42,100"),
        (1, "66,40 42,48 26,26 44,2 68,12 72,46 58,100"),
        (2, "66,10 48,2 34,14 40,32 58,30 70,12! 72,52 66,88 44,100 22,88"),
        (2, "64,8 46,2 36,16 46,32 62,26 66,10! 70,60 52,98 24,92"),
        (1, "70,20 52,0 30,16 40,40 66,30! 54,70 24,100"),
        (1, "66,8 46,2 36,18 48,34 66,22! 76,62 64,96 34,94 40,78 64,74"),
        (1, "66,14 50,6 34,20 44,32 70,6! 56,60 22,96"),
        (2, "60,2 30,10 26,34 46,44 74,22! 72,60 60,98"),
        (2, "66,6 44,4 30,20 40,36 60,32 74,14 78,50 66,86 40,98 22,84"),
        (2, "60,0 36,6 28,22 44,34 70,24! 76,60 56,96 24,88"),
    ),
}


class Glyph(NamedTuple):
    """One way of writing a digit, ready to be varied: points = spline @ control."""

    control: np.ndarray  # (C, 2)
    spline: np.ndarray  # (P, C)
    lengths: list[tuple[int, int]]  # how many control points and points each stroke has


@cache
def _glyphs(digit: int) -> tuple[np.ndarray, list[Glyph]]:
    """Return a digit's glyphs, and the cumulative fraction of people who write each."""
    weights, texts = zip(*GLYPHS[digit], strict=True)
    return np.cumsum(weights) / sum(weights), [glyph(text) for text in texts]


def glyph(text: str, step: float = 5.0) -> Glyph:
    """Read a glyph from its line in GLYPHS, with a point every `step` hundredths of its height."""
    strokes = [stroke.split() for stroke in text.split("|")]
    control = np.array(
        [word.strip("!").split(",") for words in strokes for word in words], np.float64
    )
    pieces, lengths, first = [], [], 0
    for words in strokes:
        corners = [i for i, word in enumerate(words) if word.endswith("!")]
        count = 0
        for start, end in zip([0, *corners], [*corners, len(words) - 1], strict=True):
            bent = slice(first + start, first + end + 1)
            weights = _natural_spline(control[bent], step)[: -1 if end in corners else None]
            pieces.append(np.zeros((len(weights), len(control))))
            pieces[-1][:, bent] = weights
            count += len(weights)
        lengths.append((len(words), count))
        first += len(words)
    return Glyph(control, np.concatenate(pieces), lengths)


def _natural_spline(points: np.ndarray, step: float) -> np.ndarray:
    """How much of each of (C, 2) points is in each of P places along the smooth line: (P, C).

    A natural cubic spline whose parameter grows with the root of the distance, which keeps
    it from swinging out where points lie close together.
    """
    count = len(points)
    distance = np.hypot(*np.diff(points, axis=0).T)
    gap = np.sqrt(distance)
    knots = np.r_[0, np.cumsum(gap)]
    left, right = np.eye(count), np.zeros((count, count))
    for i in range(1, count - 1):
        before, after = gap[i - 1], gap[i]
        left[i, i - 1 : i + 2] = before, 2 * (before + after), after
        right[i, i - 1 : i + 2] = 6 / before, -6 / before - 6 / after, 6 / after
    bend = np.linalg.solve(left, right)  # second derivatives, from the points
    at = np.interp(
        np.linspace(0, 1, max(2, round(distance.sum() / step))), _fraction(distance), knots
    )
    piece = np.clip(np.searchsorted(knots, at, "right") - 1, 0, count - 2)
    here = ((knots[piece + 1] - at) / gap[piece])[:, None]
    there = 1 - here
    curve = (here**3 - here) * bend[piece] + (there**3 - there) * bend[piece + 1]
    points = np.eye(count)
    return here * points[piece] + there * points[piece + 1] + curve * gap[piece, None] ** 2 / 6


def _fraction(distance: np.ndarray) -> np.ndarray:
    """Return the fraction of the whole length up to each point, from 0 to 1."""
    travelled = np.r_[0, np.cumsum(distance)]
    return travelled / travelled[-1]


def _strokes(points: np.ndarray, shape: Glyph) -> list[np.ndarray]:
    """Cut the points of a drawing into its strokes."""
    return np.split(points, np.cumsum([count for _, count in shape.lengths])[:-1])


def example(digit: int) -> list[list[tuple[float, float]]]:
    """The most legible way to write a digit, stroke by stroke as a hand would write it.

    Strokes of points (x, y) inside the unit square, y down, about 58 in all and evenly spaced.
    """
    text = GLYPHS[digit][0][1]
    length = len(glyph(text, step=1.0).spline)
    shape = glyph(text, step=length / 58)
    strokes = _strokes(shape.spline @ shape.control / 100, shape)
    return [[(float(x), float(y)) for x, y in stroke] for stroke in strokes]


def sample_strokes(digit: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Write a digit as some person might: one of its `GLYPHS`, by an unsteady hand.

    Strokes of (P, 2) float64 points, y down. The same state of `generator` writes the same.
    """
    fractions, glyphs = _glyphs(digit)
    return perturb(glyphs[np.searchsorted(fractions, generator.random())], generator)


def perturb(template: Glyph, generator: np.random.Generator) -> list[np.ndarray]:
    """Vary a glyph: its points, ends, strokes, proportions, slant, turn and tremor."""
    normal = generator.standard_normal
    control = template.control / 100 - 0.5
    control += 0.022 * normal(control.shape)
    first = 0
    for count, _ in template.lengths:
        stroke = control[first : first + count]
        reach = 0.12 * normal(2)
        start, end = stroke[0] - stroke[1], stroke[-1] - stroke[-2]
        stroke[0] += reach[0] * start
        stroke[-1] += reach[1] * end
        stroke += 0.022 * normal(2)
        first += count
    points = template.spline @ control
    x, y = points.T
    x *= np.exp(np.clip(0.3 * normal(), -0.6, 0.6) * y)  # a broad head or a broad belly
    y += np.clip(0.2 * normal(), -0.4, 0.4) * (0.25 - y**2)  # a high waist or a low one

    phase, bend = generator.uniform(0, 2 * np.pi, 4), 0.026 * normal(4)
    waves = bend * np.sin(np.stack([4 * y, 7 * y + 3 * x, 4 * x + 3 * y, 6 * y], 1) + phase)
    x += waves[:, 0] + waves[:, 1]
    y += waves[:, 2] + waves[:, 3]

    shake = normal((len(points) + 2, 2)) * 0.012 * generator.random() ** 2
    points += shake[:-2] + shake[1:-1] + shake[2:]

    stretch, slant = np.exp(0.18 * normal()), np.clip(0.08 + 0.2 * normal(), -0.3, 0.6)
    turn = np.clip(0.12 * normal(), -0.26, 0.26)
    cos, sin = np.cos(turn), np.sin(turn)
    shape = np.array([[stretch, 0], [-slant, 1]]) @ np.array([[cos, sin], [-sin, cos]])
    return _strokes(points @ shape, template)


def synthetic_digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Generate handwritten digits: images uint8 (N, 28, 28), labels int64 (N,).

    As many of each digit as of any other, in random order, with pens of many widths, ways of
    writing from all over the world, and MNIST's placing and grey edges. The same seed gives the
    same images.
    """
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count, dtype=np.int64) % 10)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:] = draw_with_random_pen(sample_strokes(int(label), generator), generator)
    return images, labels


def draw_with_random_pen(strokes: Strokes, generator: np.random.Generator) -> np.ndarray:
    """Draw strokes with a pen of random width, softness and darkness: uint8 (28, 28)."""
    width = np.clip(np.exp(0.9 + 0.25 * generator.standard_normal()), 1.4, 4.2)
    image = rasterize(strokes, width, 0.8 + 1.6 * generator.random() ** 2)
    return (255 * np.minimum(image * generator.uniform(0.75, 1.3), 1)).astype(np.uint8)
