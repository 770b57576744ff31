"""Printed lines on paper: rules and squares from side to side, and the frames of boxes."""

import numpy as np
from scipy import ndimage
from skimage.measure import label

STRAIGHT = 24  # pixels: a slanted line is a chain of straight runs at least this long
GAP = 13  # pixels: the ink of a digit that crosses a line, and what grain leaves out of it
THICKEST = 6  # pixels
RULE_EXTENT = 0.6  # of the paper's side: longer than any digit on a sheet
CORNER_EXTENT = 0.05  # of the same: a slanted rule that leaves the paper above or below
SIDE_SHARE = 0.02  # of the paper's side: a line that ends so near to it goes on beyond
SEVERAL = 4  # long lines along one axis: more than any digit has
FRAME_EXTENT = 0.8  # of the frame's shorter side: a line between two boxes
MIN_FRAME = 12  # pixels on the shorter side
MIN_COVERAGE = 0.7  # of a line's length, where printed text has less


def printed_lines(mask: np.ndarray, sheet: np.ndarray | None = None) -> np.ndarray:
    """Find the printed lines among marks.

    `mask` is (H, W) bool, True where something is darker than the paper; `sheet` is the same,
    True on the paper, where a table lies around it. Returns the lines as such a mask, without
    the ink that crosses them.
    """
    paper = np.ones_like(mask) if sheet is None else sheet
    rules = [_rules(mask, axis, np.flatnonzero(paper.any(1 - axis))[[0, -1]]) for axis in (0, 1)]
    lines = _joined(mask, rules)
    left = mask & ~lines
    frames = label(ndimage.binary_closing(left, np.ones((5, 5), bool)), connectivity=2)
    for number, place in enumerate(ndimage.find_objects(frames), start=1):
        component = left[place] & (frames[place] == number)
        if min(component.shape) >= MIN_FRAME and _is_frame(component):
            lines[place] |= _frame_lines(component)
    return lines


def _frame_lines(component: np.ndarray) -> np.ndarray:
    """Return the outline of a frame and the lines that divide it, (H, W) bool."""
    filled = np.pad(ndimage.binary_fill_holes(component), 1)
    thickness = min(THICKEST, component.sum() / (2 * sum(component.shape)))
    inner = ndimage.binary_erosion(filled, np.ones((3, 3), bool), iterations=2 + round(thickness))
    extent = FRAME_EXTENT * min(component.shape)
    dividers = [_long_lines(component, axis, extent) for axis in (0, 1)]
    return ~inner[1:-1, 1:-1] & component | _joined(component, dividers)


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


def _is_frame(component: np.ndarray) -> bool:
    """Tell a printed frame: thin ink along all four sides of its bounding box."""
    if component.mean() > 0.35:
        return False
    near = max(2, round(min(0.05 * max(component.shape), 0.3 * min(component.shape))))
    sides = (
        component[:near].any(0),
        component[-near:].any(0),
        component[:, :near].any(1),
        component[:, -near:].any(1),
    )
    return min(side.mean() for side in sides) > 0.85


def _long_lines(mask: np.ndarray, axis: int, extent: float) -> np.ndarray:
    """Return the thin lines of at least an extent along an axis, over the ink that crosses them."""
    thin = mask & ~_thick(mask, 1 - axis)
    near = ndimage.maximum_filter1d(thin.view(np.uint8), 3, axis=1 - axis)
    closed = ndimage.minimum_filter1d(ndimage.maximum_filter1d(near, GAP, axis), GAP, axis)
    runs = label(_opened(closed, min(STRAIGHT, int(extent)), axis), connectivity=2)
    lines = np.zeros_like(mask)
    for number, place in enumerate(ndimage.find_objects(runs), start=1):
        if place[axis].stop - place[axis].start < extent:
            continue
        line = runs[place] == number
        if (line & thin[place]).any(1 - axis).mean() > MIN_COVERAGE:
            lines[place] |= line
    return lines


def _thick(mask: np.ndarray, axis: int) -> np.ndarray:
    return _opened(mask.view(np.uint8), THICKEST + 1, axis)


def _opened(mask: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Keep of a mask what is at least `length` long along an axis."""
    shrunk = ndimage.minimum_filter1d(mask, length, axis=axis, mode="constant")
    origin = 0 if length % 2 else -1
    return ndimage.maximum_filter1d(shrunk, length, axis=axis, origin=origin).astype(bool)
