"""Finds handwritten digits on a photographed or scanned sheet of paper.

The image is reduced, turned to dark ink on light paper, and freed of its light by a grey closing
(black top-hat; Serra, "Image analysis and mathematical morphology", 1982): light, soft and hard
shadows and the table are larger than a pen's stroke and stay in the background. What remains is
labelled, and what is a rim, a rule, a printed box or a neighbor's ink is left out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import convex_hull_image
from torch import Tensor

from cnn import UserError
from cnn.data.drawings import shape_digit
from cnn.data.marks import Mark, group, in_reading_order
from cnn.data.rules import printed_lines

WORKING_SIDE = 480  # pixels on the longer side: a pencil's line is still wider than one
SMALL_SIDE = 64  # an image up to this size is a digit cut out, without a table or a shadow
STRETCHED_PEN = 0.19  # of the width: a pen that looks wider was stretched
WIDTH_OF_ONE = 0.3  # of its height
MAX_MARKS = 30
PEN_SHARE = 0.35  # of the shorter side: wider than any stroke, narrower than most shadows
FAINTEST = 0.07  # of the paper's brightness: paler is grain, creases and JPEG's dirt
DARKEST_PAPER = 0.3  # of the brightest: what is darker lies beside the paper
RULE_SHARE = 0.25  # of the strongest contrast: printed lines may be much paler than ink
LIGHTEST_BOARD = 190  # of 255: on anything lighter, light ink is not seen
INK_SHARE = 0.5  # of the strongest ink's contrast: paler marks are rules and what shows through
EVENNESS = 0.03  # of the brightness: paper departs less from a plane of light
STROKE_SHARE = 0.35  # of the same, where it is connected with stronger ink
EDGE_WIDTH = 7  # pixels that even soft ink's edge rises in
EDGE_SHARE = 0.2  # of the same: paler pixels at a mark's edge are none of it


@dataclass(frozen=True)
class Digit:
    """One handwritten digit on a sheet.

    `box`: (left, top, right, bottom) in pixels of the image given, right and bottom exclusive.
    `image`: (1, 1, 28, 28) float32 in [0, 1], as MNIST's digits are shaped.
    """

    box: tuple[int, int, int, int]
    image: Tensor


def find_digits(image: Image.Image) -> list[Digit]:
    """Find the digits on a sheet, line by line and from left to right.

    `image` is of any mode and size, dark ink on light or light ink on dark. An empty sheet
    gives an empty list; more than 30 marks are a `UserError`.
    """
    scale = max(image.size) / WORKING_SIDE
    width, height = image.size if scale <= 1 else (max(1, round(s / scale)) for s in image.size)
    colors = image if image.mode == "RGB" else image.convert("RGB")
    if (width, height) != image.size:
        colors = colors.resize((width, height), Image.Resampling.BOX, reducing_gap=2)
    pixels = np.asarray(colors, np.float32)
    if max(width, height) <= SMALL_SIDE:
        ink = _flat_ink(pixels)
        found = [(_unstretched(ink), _bounding_box(ink > FAINTEST))] if ink.max() > FAINTEST else []
    else:
        ink, labels, marks = _marks(pixels)
        found = [(_part(ink, labels, mark), mark) for mark in marks]
    across, down = image.width / width, image.height / height
    return [
        Digit(
            (
                int(mark.left * across),
                int(mark.top * down),
                min(image.width, round(mark.right * across)),
                min(image.height, round(mark.bottom * down)),
            ),
            shape_digit(part),
        )
        for part, mark in found
    ]


def _bounding_box(mask: np.ndarray) -> Mark:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Mark(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1, (1,))


def _flat_ink(pixels: np.ndarray) -> np.ndarray:
    """Return the ink, (H, W) in [0, 1], of a small image: the rarer of its two levels."""
    grey = pixels.mean(2)
    if np.ptp(grey) < 2 * 255 * FAINTEST:
        return np.zeros_like(grey)
    light = grey > threshold_otsu(grey)
    border = np.r_[light[0], light[-1], light[:, 0], light[:, -1]]
    share = light.mean() if abs(light.mean() - 0.5) > 0.12 else border.mean()
    paper = np.median(grey[light == (share > 0.5)])
    ink = paper - grey if share > 0.5 else grey - paper
    fullest = paper if share > 0.5 else 255 - paper
    return (ink / max(fullest, 1)).clip(0, 1)


def _unstretched(ink: np.ndarray) -> np.ndarray:
    """Narrow a one whose own box was resized to a square.

    Its ink touches all sides, has a single run in nearly each row, and these are far wider than
    anything horizontal is thick: the pen was stretched.
    """
    mask = ink > 0.4 * ink.max()
    if not (mask[[0, -1]].any(1).all() and mask[:, [0, -1]].any(0).all() and mask.any(1).all()):
        return ink
    count = mask.shape[1]
    extents = (count - mask.argmax(1) - mask[:, ::-1].argmax(1)) / count
    is_wide = extents > 0.6
    pen = np.median(extents[~is_wide]) if not is_wide.all() else 0
    single = mask.sum(1) / count > extents - 1e-6
    if pen < STRETCHED_PEN or single.mean() < 0.85 or is_wide.mean() > pen / 2.5:
        return ink
    width = max(1, round(WIDTH_OF_ONE * len(ink)))
    return np.asarray(Image.fromarray(ink).resize((width, len(ink)), Image.Resampling.BOX))


def _marks(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[Mark]]:
    """Return the ink (H, W) in [0, 1], its connected parts as labels, and the digits' marks."""
    grey = pixels @ np.full(3, 1 / 3, np.float32)
    if np.ptp(grey) < 2 and np.ptp(pixels[0, 0] - pixels) < 2:
        return grey, grey, []
    sheet = _sheet(grey)
    is_inverted = sheet is None and _is_light_on_dark(grey)
    if sheet is None and not is_inverted:
        sheet = _dark_sheet(grey)
        is_inverted = sheet is not None
    contrast, edges = _contrast(_clearest_channel(255 - pixels if is_inverted else pixels))
    if sheet is not None:
        contrast[~sheet] = 0
    sample = contrast[::2, ::2]
    middle = np.median(sample)
    faintest = max(FAINTEST, middle + 5 * np.median(np.abs(sample - middle)))
    _drop_rims(contrast, faintest)
    labels, parts = np.zeros(contrast.shape, int), []
    peak = ndimage.uniform_filter(contrast, 2).max()
    lines = printed_lines(contrast, max(faintest, RULE_SHARE * peak), sheet)
    if lines.any():
        beside = ndimage.binary_dilation(lines, np.ones((3, 3), bool))
        peak = ndimage.uniform_filter(np.where(beside, 0, contrast), 2).max()
    if peak > 1.5 * faintest:
        mask = apply_hysteresis_threshold(
            contrast, max(faintest, STROKE_SHARE * peak), max(faintest, INK_SHARE * peak)
        )
        labels = label(_without(mask, lines), connectivity=2)
        parts = _real_parts(labels, edges > 0.35 * contrast)
    marks = group([_mark(part) for part in parts])
    if len(marks) > MAX_MARKS:
        raise UserError("This is a page of text, it seems. Crop one digit or a line of them.")
    ink = np.where(contrast > max(faintest / 2, EDGE_SHARE * peak), contrast / max(peak, 1e-6), 0)
    return ink, labels, in_reading_order(marks)


def _is_light_on_dark(grey: np.ndarray) -> bool:
    """Tell chalk from pencil: the ink is the rarer of two levels, or what is no surrounding."""
    if np.median(grey) > LIGHTEST_BOARD:
        return False
    light = grey > threshold_otsu(grey)
    border = np.r_[light[0], light[-1], light[:, 0], light[:, -1]]
    share = (light.mean() + border.mean()) / 2
    if abs(share - 0.5) > 0.25:
        return share < 0.5
    step = max(1, max(grey.shape) // 48)
    grey = grey[::step, ::step]
    size = max(3, round(PEN_SHARE * min(grey.shape)))
    around = ndimage.median_filter(grey, max(3, round(0.5 * min(grey.shape))), mode="nearest")
    dark = np.minimum(ndimage.grey_closing(grey, size) - grey, (around - grey).clip(0))
    light = np.minimum(grey - ndimage.grey_opening(grey, size), (grey - around).clip(0))
    return (light**2).sum() > (dark**2).sum()


def _clearest_channel(pixels: np.ndarray) -> np.ndarray:
    """Return the channel, (H, W), in which the ink stands out most: the darkest one or R, G, B."""
    channels = [np.minimum.reduce(np.moveaxis(pixels, 2, 0)), *np.moveaxis(pixels, 2, 0)]
    step = max(1, max(pixels.shape[:2]) // 120)
    coarse = [ndimage.uniform_filter(channel, step)[::step, ::step] for channel in channels]
    energy = []
    for channel in coarse:
        darkness = (1 - channel / max(np.median(channel), 1)).clip(0)
        energy.append((np.minimum(_contrast(channel)[0], darkness) ** 2).sum())
    best = int(np.argmax(energy))
    return channels[best if energy[best] > 1.5 * energy[0] else 0]


def _contrast(channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much darker than the paper around it each pixel is, and how sharp its edge.

    `channel` is (H, W), 0 to 255. Both come as shares of the paper's brightness, (H, W), 0 to 1;
    the second is the range of brightness within EDGE_WIDTH pixels.
    """
    channel = ndimage.gaussian_filter(channel, 0.7)
    slope = _slope(channel)
    paper = slope + ndimage.grey_closing(
        channel - slope, max(3, round(PEN_SHARE * min(channel.shape)))
    )
    brightest = max(np.percentile(paper[::4, ::4], 95), 8)
    level = np.maximum(paper, DARKEST_PAPER * brightest)
    lightest, darkest = (
        filter_(channel, EDGE_WIDTH) for filter_ in (ndimage.maximum_filter, ndimage.minimum_filter)
    )
    return ((paper - channel) / level).clip(0, 1), (lightest - darkest) / level


def _slope(channel: np.ndarray) -> np.ndarray:
    """Return how the light falls off over the paper, a plane (H, W); 0 where it is no plane.

    A closing raises the darker end of a slope, which has no brighter pixels beyond it.
    """
    down, across = (np.linspace(-1, 1, side, dtype=np.float32) for side in channel.shape)
    sample = channel[::8, ::8].ravel()
    y, x = (grid.ravel() for grid in np.meshgrid(down[::8], across[::8], indexing="ij"))
    terms = np.stack([np.ones_like(x), y, x])
    is_paper = np.ones(len(sample), bool)
    for _ in range(4):
        known = terms[:, is_paper]
        weights = np.linalg.lstsq(known @ known.T, known @ sample[is_paper], rcond=None)[0]
        off = np.abs(sample - weights @ terms)
        is_paper = off <= max(3 * np.median(off), 1)
    if np.median(off) > EVENNESS * np.median(sample):
        return np.zeros_like(channel)
    return weights[1] * down[:, None] + weights[2] * across


def _sheet(grey: np.ndarray) -> np.ndarray | None:
    """Return where a light sheet lies on a dark table, (H, W) bool; None without a table."""
    threshold = threshold_otsu(grey)
    bright = grey > threshold
    if grey[bright].mean() < 1.5 * grey[~bright].mean():
        return None
    labels, count = ndimage.label(bright)
    areas = np.bincount(labels.ravel())[1:]
    largest = labels == 1 + np.argmax(areas)
    filled = ndimage.binary_fill_holes(largest)
    border, beyond = (
        np.r_[mask[0], mask[-1], mask[:, 0], mask[:, -1]].mean()
        for mask in (filled, bright & ~filled)
    )
    if border > 0.4 or beyond > 0.3 or filled.mean() < 0.1 or largest.sum() < 0.65 * filled.sum():
        return None
    rows, columns = np.flatnonzero(filled.any(1)), np.flatnonzero(filled.any(0))
    sides = np.ptp(rows) + 1, np.ptp(columns) + 1
    if max(sides) > 4 * min(sides):
        return None
    coarse = filled[::4, ::4]
    if coarse.sum() < 0.9 * convex_hull_image(coarse).sum():
        return None
    return ndimage.binary_erosion(filled, iterations=max(3, round(0.008 * max(grey.shape))))


def _dark_sheet(grey: np.ndarray) -> np.ndarray | None:
    """Return where a dark sheet lies on a light table; None for a shadow or without a table."""
    sheet = _sheet(255 - grey)
    if sheet is None or grey[~sheet].mean() < 2.5 * grey[sheet].mean():
        return None
    touches = sheet[[0, -1]].any() or sheet[:, [0, -1]].any()
    return None if touches else sheet


def _drop_rims(contrast: np.ndarray, faintest: float) -> None:
    """Clear, in place, a narrow strip of table along any side of the image."""
    for view in (contrast, contrast[::-1], contrast.T, contrast.T[::-1]):
        inked = view > max(faintest, 0.15)
        runs = np.where(inked.all(0), len(inked), np.argmin(inked, axis=0))
        depth = np.median(runs)
        if (runs > 0).mean() < 0.85 or depth > 0.3 * len(view):
            continue
        beyond = inked[np.minimum(runs + 2, len(view) - 1), np.arange(view.shape[1])]
        if (np.abs(runs - depth) > 0.25 * depth + 3).mean() > 0.1 and beyond.mean() > 0.3:
            continue
        cut = np.minimum(runs, 1.5 * depth + 3) + 3
        view[np.arange(len(view))[:, None] < cut] = 0


def _without(mask: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Remove lines from a mask, and close the ink that they cut."""
    if not lines.any():
        return mask
    kept = mask & ~lines
    return ndimage.binary_closing(kept, np.ones((5, 5), bool)) & mask | kept


def _real_parts(labels: np.ndarray, sharp: np.ndarray) -> list[Any]:
    """Return the connected parts that are a pen's: no specks, shadows or neighbors."""
    height, width = labels.shape
    parts = [part for part in regionprops(labels) if part.area >= 4]
    parts = [part for part in parts if _has_edges(part, sharp)]
    if not parts:
        return []
    largest = max(_extent(part) for part in parts)
    parts = [part for part in parts if _extent(part) >= max(4, 0.06 * largest)]

    def touches(part: Any) -> bool:
        top, left, bottom, right = part.bbox
        return top <= 1 or left <= 1 or bottom >= height - 1 or right >= width - 1

    inner = [part for part in parts if not touches(part)]
    if inner:
        tallest = max(_extent(part) for part in inner)
        if tallest >= 0.3 * largest or tallest > 0.15 * max(labels.shape):
            parts = inner
    return parts


def _mark(part: Any) -> Mark:
    top, left, bottom, right = part.bbox
    return Mark(top, left, bottom, right, (part.label,))


def _extent(part: Any) -> int:
    top, left, bottom, right = part.bbox
    return max(bottom - top, right - left)


def _has_edges(part: Any, sharp: np.ndarray) -> bool:
    """Tell ink, whose outline is an edge, from the corner of a shadow, cut off in its middle."""
    mask = np.pad(part.image, 1)
    outline = (mask & ~ndimage.binary_erosion(mask))[1:-1, 1:-1]
    return sharp[part.slice][outline].mean() > 0.75


def _part(ink: np.ndarray, labels: np.ndarray, mark: Mark) -> np.ndarray:
    """Cut one digit's ink out, without that of its neighbors."""
    margin = 3
    rows = slice(max(mark.top - margin, 0), mark.bottom + margin)
    columns = slice(max(mark.left - margin, 0), mark.right + margin)
    own = ndimage.binary_dilation(np.isin(labels[rows, columns], mark.labels), iterations=margin)
    return ink[rows, columns] * own
