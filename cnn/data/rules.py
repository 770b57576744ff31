"""Printed lines on paper: rules and squares from side to side, and the frames of boxes."""

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import skeletonize

STRAIGHT = 24  # pixels: a slanted line is a chain of straight runs at least this long
GAP = 13  # pixels: the ink of a digit that crosses a line, and what grain leaves out of it
FRAME_GAP = 5  # pixels: less than lies between a frame and a digit
THICKEST = 6  # pixels
RULE_EXTENT = 0.6  # of the paper's side: longer than any digit on a sheet
CORNER_EXTENT = 0.05  # of the same: a slanted rule that leaves the paper above or below
SIDE_SHARE = 0.02  # of the paper's side: a line that ends so near to it goes on beyond
LINE_RANGE = 1.3  # of the rules' contrast: more is ink upon them
SEVERAL = 4  # long lines along one axis: more than any digit has
FRAME_EXTENT = 0.9  # of the frame's side: a line between two boxes
MIN_FRAME = 12  # pixels on the shorter side
MAX_INK = 0.35  # of a frame's area
MIN_COVERAGE = 0.7  # of a line's length, where printed text has less


def printed_lines(
    contrast: np.ndarray, faintest: float, sheet: np.ndarray | None = None
) -> np.ndarray:
    """Find the printed lines on a sheet.

    `contrast` (H, W) tells how much darker than the paper each pixel is, and `faintest` how much
    a line is at least; `sheet` (H, W) is True on the paper, where a table lies around it.
    Returns the lines, (H, W) bool, without the ink that crosses them.
    """
    mask = contrast > faintest
    paper = np.ones_like(mask) if sheet is None else sheet
    rules = [_rules(mask, axis, np.flatnonzero(paper.any(1 - axis))[[0, -1]]) for axis in (0, 1)]
    lines = _joined(mask, rules)
    if lines.any():
        lines &= contrast < LINE_RANGE * np.percentile(contrast[lines], 90)
    left = mask & ~lines
    closed = _closed(left, 0, FRAME_GAP) | _closed(left, 1, FRAME_GAP)
    frames = label(closed, connectivity=2)
    for number, place in enumerate(ndimage.find_objects(frames), start=1):
        if min(side.stop - side.start for side in place) < MIN_FRAME:
            continue
        frame = frames[place] == number
        component = left[place] & frame
        if component.mean() < MAX_INK and _has_four_sides(frame):
            lines[place] |= _frame_lines(component, frame)
    return lines


def _frame_lines(component: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return the outline of a frame and the lines that divide it, (H, W) bool.

    `component` are the marks, with a digit that touches the frame, and `frame` the same without
    gaps.
    """
    filled = np.pad(ndimage.binary_fill_holes(frame), 1)
    thickness = min(THICKEST, component.sum() / skeletonize(component).sum())
    inner = ndimage.binary_erosion(filled, np.ones((3, 3), bool), iterations=1 + round(thickness))
    dividers = [_dividers(component, filled[1:-1, 1:-1], axis) for axis in (0, 1)]
    return ~inner[1:-1, 1:-1] & component | _joined(component, dividers)


def _dividers(component: np.ndarray, filled: np.ndarray, axis: int) -> np.ndarray:
    """Return the lines along an axis from one side of a frame to the other."""
    labels = label(_long_lines(component, axis, MIN_FRAME), connectivity=2)
    sides = filled.sum(axis)
    kept = [
        number
        for number, place in enumerate(ndimage.find_objects(labels), start=1)
        if np.ptp((place[axis].start, place[axis].stop))
        >= FRAME_EXTENT * np.median(sides[place[1 - axis]])
    ]
    return np.isin(labels, kept)


def _rules(mask: np.ndarray, axis: int, ends: np.ndarray) -> np.ndarray:
    """Return the lines that go from one side of the paper to the other, or are one of several.

    `ends` are the paper's first and last pixel along the axis.
    """
    side = 1 + ends[1] - ends[0]
    labels = label(_long_lines(mask, axis, CORNER_EXTENT * side), connectivity=2)
    spans = np.array([(p[axis].start, p[axis].stop) for p in ndimage.find_objects(labels)])
    if len(spans) == 0:
        return labels > 0
    is_long = np.ptp(spans, axis=1) > RULE_EXTENT * side
    reached = np.abs(spans - (ends + (0, 1))) <= SIDE_SHARE * side
    kept = is_long | reached.any(1) if is_long.sum() >= SEVERAL else is_long & reached.all(1)
    return np.isin(labels, 1 + np.flatnonzero(kept))


def _joined(mask: np.ndarray, lines: list[np.ndarray]) -> np.ndarray:
    """Join the lines along both axes, without the ink that crosses them."""
    down, across = lines
    return (down & (across | ~_thick(mask, 1))) | (across & (down | ~_thick(mask, 0)))


def _has_four_sides(frame: np.ndarray) -> bool:
    """Tell whether there is ink along all four sides of the bounding box, which may be tilted."""
    near = max(2, round(min(0.05 * max(frame.shape), 0.3 * min(frame.shape))))
    along = [frame[:near].any(0), frame[-near:].any(0)]
    sides = [*along, frame[:, :near].any(1), frame[:, -near:].any(1)]
    return min(side.mean() for side in sides) > 0.85


def _long_lines(mask: np.ndarray, axis: int, extent: float) -> np.ndarray:
    """Return the thin lines of at least an extent along an axis, over the ink that crosses them."""
    thin = mask & ~_thick(mask, 1 - axis)
    if thin.any(1 - axis).sum() < MIN_COVERAGE * extent:
        return np.zeros_like(mask)
    near = ndimage.maximum_filter1d(thin.view(np.uint8), 3, axis=1 - axis)
    runs = label(
        _opened(_closed(near, axis, GAP), min(STRAIGHT, max(1, int(extent))), axis), connectivity=2
    )
    lines = np.zeros_like(mask)
    for number, place in enumerate(ndimage.find_objects(runs), start=1):
        if place[axis].stop - place[axis].start < extent:
            continue
        line = runs[place] == number
        if (line & thin[place]).any(1 - axis).mean() > MIN_COVERAGE:
            lines[place] |= line
    return lines


def _closed(mask: np.ndarray, axis: int, gap: int) -> np.ndarray:
    """Close the gaps along an axis, (H, W) uint8."""
    grown = ndimage.maximum_filter1d(mask.view(np.uint8), gap, axis)
    return ndimage.minimum_filter1d(grown, gap, axis)


def _thick(mask: np.ndarray, axis: int) -> np.ndarray:
    return _opened(mask.view(np.uint8), THICKEST + 1, axis)


def _opened(mask: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Keep of a mask what is at least `length` long along an axis."""
    shrunk = ndimage.minimum_filter1d(mask, length, axis=axis, mode="constant")
    origin = 0 if length % 2 else -1
    return ndimage.maximum_filter1d(shrunk, length, axis=axis, origin=origin).astype(bool)
