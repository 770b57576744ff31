"""Pen strokes, and how they become an image like those of MNIST.

A drawing is a sequence of strokes, a stroke a sequence of points (x, y), y down.
"""

import re
from collections.abc import Sequence

import numpy as np

from cnn import UserError

Strokes = Sequence[np.ndarray | Sequence[Sequence[float]]]

SIDE = 28
BOX = 20
GAP = (SIDE - BOX) // 2
MIDDLE = (BOX - 1) / 2  # of the box, where a whole number is the center of a pixel
PEN = 2.4  # pixels: the median width of the strokes in MNIST's training images
EPSILON = 1e-300  # the smallest extent that floating point can still scale to the box
MAX_SPECK = 0.05  # a stroke this much smaller than the largest is a slip of the pen
MIN_GAP = 0.12  # of the drawing's height, between digits side by side
MIN_DIGIT_HEIGHT = 0.6  # of the same: what is less tall is part of a digit, or a sign
RESAMPLED_POINTS = 512
MAX_ENCODED_LENGTH = 4_000
FINEST_GRID = 36**2 - 1  # steps from side to side in an encoded drawing
PIXELS = np.stack([*np.meshgrid(np.arange(BOX), np.arange(BOX)), np.ones((BOX, BOX))])
PIXELS = PIXELS.reshape(3, -1).astype(np.float32)  # x, y and 1 of each pixel of the box


def rasterize(strokes: Strokes, width: float = PEN, softness: float = 1.0) -> np.ndarray:
    """Draw pen strokes as MNIST's digits look, of any size and at any position.

    `strokes` are sequences of points (x, y), y down, in any unit; `width` is the pen's and
    `softness` that of its grey edge, both in pixels of the result. Returns (28, 28)
    float32, 0 for paper and 1 for ink: the ink, pen included, fills a 20 x 20 box on its
    longer side, proportions kept, and its center of mass lies in the middle to within half a
    pixel (LeCun, Cortes and Burges, "The MNIST database"). A stroke that is a mere dot beside
    the others is left out. Nothing drawn gives zeros.
    """
    image = np.zeros((SIDE, SIDE), np.float32)
    box = fit_to_box(strokes, width, softness)
    if box.any():
        column, row = PIXELS[:2] @ box.ravel() / box.sum()
        column, row = (GAP + min(max(round(MIDDLE - mean), -GAP), GAP) for mean in (column, row))
        image[row : row + BOX, column : column + BOX] = box
    return image


def fit_to_box(strokes: Strokes, width: float = PEN, softness: float = 1.0) -> np.ndarray:
    """Draw strokes as `rasterize` does before centering: (20, 20), the longer side filled."""
    kept = _drop_specks([_points(stroke) for stroke in strokes if len(stroke)])
    if not kept:
        return np.zeros((BOX, BOX), np.float32)
    kept = _simplify(kept)
    points = np.concatenate(kept)
    low, high = points.min(0), points.max(0)
    extent = (high - low).max()
    scale = (BOX - width - softness + 1) / extent if extent > EPSILON else 1.0
    points = (points - (low + high) / 2) * scale + MIDDLE

    ends = np.cumsum([len(stroke) for stroke in kept]) - 1
    start, end = np.delete(points, ends, 0), np.delete(points, np.r_[0, ends[:-1] + 1], 0)
    distance = _distance(start.astype(np.float32), end.astype(np.float32))
    return np.clip((width / 2 - distance) / softness + 0.5, 0, 1)


def count_digits(strokes: Strokes) -> int:
    """Count the digits that seem to stand side by side in a drawing, at least 1.

    A gap from top to bottom separates groups of strokes, and each group that is nearly as tall as
    the drawing is a digit. The strokes of one digit overlap in x: of 7,494 digits of pendigits
    one is taken for two, of 14,385 of UNIPEN 14.
    """
    points = [_points(stroke) for stroke in strokes if len(stroke)]
    spans = sorted((*stroke.min(0), *stroke.max(0)) for stroke in points)
    if not spans:
        return 1
    _, tops, _, bottoms = zip(*spans, strict=True)
    height = max(bottoms) - min(tops)
    groups = [spans[0]]
    for left, top, right, bottom in spans[1:]:
        first, highest, last, lowest = groups[-1]
        if left - last >= MIN_GAP * height:
            groups.append((left, top, right, bottom))
        else:
            groups[-1] = (first, min(highest, top), max(last, right), max(lowest, bottom))
    tall = [bottom - top >= MIN_DIGIT_HEIGHT * height for _, top, _, bottom in groups]
    return max(1, sum(tall)) if height else 1


def thin(strokes: Strokes) -> list[list[list[float]]]:
    """Reduce strokes to the points that `rasterize` looks at, about 512 in all."""
    return [
        stroke.tolist()
        for stroke in _simplify([_points(stroke) for stroke in strokes if len(stroke)])
    ]


def encode(strokes: Strokes) -> str:
    """Encode strokes in the unit square as text for an address, in about 256 points at most.

    Each point is four of 0-9 and a-z, two for x and two for y; "-" stands between strokes.
    """
    thinned = _simplify([_points(stroke) for stroke in strokes if len(stroke)], 256)
    grid = ((stroke.clip(0, 1) * FINEST_GRID).round().astype(int).ravel() for stroke in thinned)
    return "-".join(
        "".join(np.base_repr(number, 36).lower().zfill(2) for number in stroke) for stroke in grid
    )


def decode(text: str) -> list[list[list[float]]]:
    """Decode the strokes of `encode`; a `UserError` for any other text."""
    if len(text) > MAX_ENCODED_LENGTH or not re.fullmatch(
        r"([0-9a-z]{4})+(-([0-9a-z]{4})+)*", text
    ):
        raise UserError("The drawing in this link is not whole. Copy the link again.")
    return [
        [
            [int(point[:2], 36) / FINEST_GRID, int(point[2:], 36) / FINEST_GRID]
            for point in re.findall("....", stroke)
        ]
        for stroke in text.split("-")
    ]


def _points(stroke: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """Convert a stroke to (P, 2) float64 with at least two points: a single one is repeated."""
    points = np.asarray(stroke, np.float64).reshape(-1, 2)
    return points if len(points) > 1 else np.repeat(points, 2, 0)


def _drop_specks(strokes: list[np.ndarray]) -> list[np.ndarray]:
    """Leave out strokes that are a mere dot beside the largest one."""
    if len(strokes) < 2:
        return strokes
    extents = [np.ptp(stroke, axis=0).max() for stroke in strokes]
    smallest = MAX_SPECK * max(extents)
    return [s for s, extent in zip(strokes, extents, strict=True) if extent >= smallest]


def _simplify(strokes: list[np.ndarray], most: int = RESAMPLED_POINTS) -> list[np.ndarray]:
    """Resample strokes to about `most` points in all, as each costs time in `_distance`."""
    count = sum(map(len, strokes))
    if count <= most:
        return strokes
    return [_resample(stroke, max(2, round(len(stroke) * most / count))) for stroke in strokes]


def _resample(stroke: np.ndarray, count: int) -> np.ndarray:
    """Return `count` evenly spaced points along a stroke, both ends among them."""
    travelled = np.r_[0.0, np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))]
    distances = np.linspace(0, travelled[-1], count)
    return np.stack([np.interp(distances, travelled, axis) for axis in stroke.T], 1)


def _distance(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Compute the distance of each of 20 x 20 pixels to the nearest segment: (20, 20).

    `start` and `end` are (S, 2) in pixels. A segment of no length is a point.
    """
    direction = end - start
    length = np.hypot(direction[:, 0], direction[:, 1])
    direction[length == 0] = 1, 0
    direction /= np.where(length, length, 1)[:, None]
    normal = direction[:, ::-1] * np.array([-1, 1], np.float32)
    nearest = np.full(BOX * BOX, np.inf, np.float32)
    for few in (slice(i, i + 64) for i in range(0, len(start), 64)):  # these stay in the cache
        along = _coordinate(direction[few], start[few])
        across = _coordinate(normal[few], start[few])
        along -= np.minimum(np.maximum(along, 0), length[few, None])
        along *= along
        across *= across
        along += across
        np.minimum(nearest, along.min(0), out=nearest)
    return np.sqrt(nearest).reshape(BOX, BOX)


def _coordinate(axis: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Project the 400 pixels onto each of S axes with an origin each: (S, 400)."""
    return np.column_stack([axis, -(axis * origin).sum(1)]) @ PIXELS
