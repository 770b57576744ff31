"""Whatever a person gives, as the network wants it: strokes, a drawing's pixels, a photograph."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import max_pool2d

from cnn import UserError
from cnn.data import strokes

MAX_STROKES = 200
MAX_POINTS = 20_000
MAX_COORDINATE = 1e9

SIDE, BOX = 28, 20
COARSE_SIDE = 256  # a drawing is read at most so large
MIN_CONTRAST = 16  # of 255: paler is the dirt that JPEG leaves around a line
FINE_SIDE = 120  # and its pen corrected so large, both on the longer side
STROKE_WIDTHS = (1.2, 4.4)  # pixels in MNIST's box: 99 % of its training images lie between them
USUAL_STROKE_WIDTHS = (2.0, 3.6)


def digit_from_strokes(drawn: strokes.Strokes) -> Tensor:
    """Draw a visitor's strokes the way the digits of MNIST were drawn.

    `drawn` is a list of strokes, a stroke a list of (x, y) points, y down, any unit.
    Returns (1, 1, 28, 28) float32 in [0, 1]; nothing drawn gives zeros. Anything that is not
    such a list, or is far too long, is a `UserError`.
    """
    if not isinstance(drawn, list | tuple):
        raise UserError(
            f"A drawing is a list of strokes and not {_type_name(drawn)}. Draw it again."
        )
    if len(drawn) > MAX_STROKES:
        raise UserError(
            f"A drawing of {len(drawn):,} strokes is too long. Use at most {MAX_STROKES}."
        )
    points = 0
    checked = []
    for stroke in drawn:
        if not isinstance(stroke, list | tuple | np.ndarray):
            raise UserError(
                f"A stroke is a list of points and not {_type_name(stroke)}. Draw it again."
            )
        points += len(stroke)
        if points > MAX_POINTS:
            raise UserError(
                f"A drawing of {points:,} points or more is too long. Use at most {MAX_POINTS:,}."
            )
        if len(stroke):
            checked.append(_points(stroke))
    return torch.from_numpy(strokes.rasterize(checked))[None, None]


def _points(stroke: object) -> np.ndarray:
    try:
        points = np.asarray(stroke)
    except (ValueError, TypeError, OverflowError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        raise UserError("A stroke holds something else than points. Give each as two numbers, x y.")
    points = points.astype(np.float64)  # whose absolute value cannot overflow
    if not (np.abs(points) <= MAX_COORDINATE).all():
        raise UserError(
            f"A point lies too far away. Keep x and y finite and within ±{MAX_COORDINATE:g}."
        )
    return points


def _type_name(value: object) -> str:
    return f"a {type(value).__name__}"


def digit_from_drawing(ink: np.ndarray) -> Tensor:
    """Shape a drawing's pixels the way the digits of MNIST were shaped.

    `ink` is (H, W) uint8, dark on light or light on dark, any size; a photographed sheet may
    be lit unevenly. Returns (1, 1, 28, 28) float32 in [0, 1]: the inked box scaled to 20 pixels
    on its longer side, proportions kept, its centre of mass in the middle to within half a
    pixel (LeCun, Cortes and Burges, "The MNIST database"). A pen far thinner or thicker than
    those of MNIST is brought near them. Nothing drawn gives zeros.
    """
    shrunk = -(-max(ink.shape) // COARSE_SIDE)
    strength = _extract_ink(np.asarray(Image.fromarray(ink).reduce(shrunk), np.float32))
    if not strength.any():
        return torch.zeros(1, 1, SIDE, SIDE)
    rows, columns = _ink_box(strength)
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    if shrunk > 1 and 2 * longer < max(strength.shape):
        near = [
            slice(max(side.start - longer // 4 - 1, 0) * shrunk, (side.stop + longer // 4) * shrunk)
            for side in (rows, columns)
        ]
        return digit_from_drawing(ink[near[0], near[1]])
    return shape_digit(strength[rows, columns])


def shape_digit(ink: np.ndarray) -> Tensor:
    """Bring ink to the size, pen and place of MNIST's digits.

    `ink` is (H, W) float32, 0 for paper. Returns (1, 1, 28, 28) float32 in [0, 1].
    """
    box = _resize(_normalize_stroke_width(ink[_ink_box(ink)]), BOX)
    return torch.from_numpy(_center(box / box.max()))[None, None]


def _extract_ink(grey: np.ndarray) -> np.ndarray:
    """How strongly each pixel is inked, 1 being black on white or white on black; 0 is paper."""
    paper = _estimate_background(grey)
    dark = paper - grey
    is_dark = dark.max() >= -dark.min()
    ink, fullest = (dark, paper) if is_dark else (-dark, 255 - paper)
    grain = np.median(np.abs(dark))
    faintest = max(MIN_CONTRAST, 6 * grain, min(grain, 1) * ink.max() / 4)
    if ink.max() < 2 * faintest:
        return np.zeros_like(grey)
    return np.where(ink >= faintest, ink / fullest.clip(1), 0)


def _estimate_background(grey: np.ndarray) -> np.ndarray:
    """The sheet's own grey at each pixel: a quadratic surface through what is not ink."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in grey.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]).astype(np.float32)
    border = np.ones(grey.shape, bool)
    border[1:-1, 1:-1] = False
    level = np.full_like(grey, np.median(grey[border]))
    for among in (border, border, np.full_like(border, True), np.full_like(border, True)):
        off = np.abs(grey - level)
        sheet = among & (off <= max(4 * np.median(off[among]), 4))
        if off[sheet].max() < 1:
            continue
        known = terms[:, sheet]
        weights = np.linalg.lstsq(known @ known.T, known @ grey[sheet], rcond=None)[0]
        level = np.tensordot(weights, terms, 1)
    return level


def _ink_box(ink: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _normalize_stroke_width(ink: np.ndarray) -> np.ndarray:
    """Thicken a hairline and thin a brush, as MNIST has neither; leave all others alone."""
    if STROKE_WIDTHS[0] <= _stroke_width(ink) * BOX / max(ink.shape) <= STROKE_WIDTHS[1]:
        return ink
    ink = _resize(ink, FINE_SIDE)
    ink = (ink / np.percentile(ink[ink > 0], 80)).clip(0, 1)
    pen = _stroke_width(ink)
    wanted = (
        USUAL_STROKE_WIDTHS[0]
        if pen < STROKE_WIDTHS[0] * FINE_SIDE / BOX
        else USUAL_STROKE_WIDTHS[1]
    )
    ink = _dilate_or_erode(ink, round((wanted * FINE_SIDE / BOX - pen) / 2))
    return ink[_ink_box(ink)]


def _stroke_width(ink: np.ndarray) -> float:
    """The mean width of strokes in pixels: twice their area by the length of their outline."""
    ink = np.pad(ink, 1)
    outline = np.hypot(np.diff(ink, axis=0)[:, :-1], np.diff(ink, axis=1)[:-1]).sum()
    return 2 * ink.sum() / outline


def _dilate_or_erode(ink: np.ndarray, pixels: int) -> np.ndarray:
    """Ink grown by `pixels` on each side, or shrunk where `pixels` is negative."""
    sign = -1 if pixels < 0 else 1
    reach = abs(pixels)
    signed = torch.from_numpy(np.pad(ink, max(pixels, 0)))[None] * sign
    return (max_pool2d(signed, 2 * reach + 1, 1, reach)[0] * sign).numpy()


def _resize(image: np.ndarray, longer: int) -> np.ndarray:
    scale = longer / max(image.shape)
    height, width = (max(1, round(side * scale)) for side in image.shape)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized).clip(0)


def _center(box: np.ndarray) -> np.ndarray:
    """The box on a field of 28 x 28, its centre of mass as near the middle as it can lie."""
    field = np.zeros((SIDE, SIDE), np.float32)
    height, width = box.shape
    row = round((SIDE - 1) / 2 - np.average(np.arange(height), weights=box.sum(1)))
    column = round((SIDE - 1) / 2 - np.average(np.arange(width), weights=box.sum(0)))
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    field[row : row + height, column : column + width] = box
    return field
