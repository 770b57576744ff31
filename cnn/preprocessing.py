"""Whatever a person gives, as the network wants it: strokes, a drawing's pixels, a photograph."""

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor
from torch.nn.functional import max_pool2d

from cnn import UserError, strokes
from cnn.datasets import Dataset

MOST_STROKES = 200
MOST_POINTS = 20_000
FARTHEST = 1e9

SIDE, BOX = 28, 20
COARSE = 256  # a drawing is read at most so large
FAINTEST = 16  # of 255: paler is the dirt that JPEG leaves around a line
FINE = 120  # and its pen corrected so large, both on the longer side
PENS = (1.2, 4.4)  # pixels in MNIST's box: 99 % of its training images lie between them
USUAL_PENS = (2.0, 3.6)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MOST_PIXELS = 40_000_000
MOST_SCANS = 50  # a progressive JPEG has about ten, and each visits every pixel again
LONGEST_SHAPE = 100
ENOUGH_PIXELS = 1024

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def digit_from_strokes(drawn: list) -> Tensor:
    """Draw a visitor's strokes the way the digits of MNIST were drawn.

    `drawn` is a list of strokes, a stroke a list of (x, y) points, y down, any unit.
    Returns (1, 1, 28, 28) float32 in [0, 1]; nothing drawn gives zeros. Anything that is not
    such a list, or is far too long, is a `UserError`.
    """
    if not isinstance(drawn, list | tuple):
        raise UserError(f"A drawing is a list of strokes and not {_kind(drawn)}. Draw it again.")
    if len(drawn) > MOST_STROKES:
        raise UserError(
            f"A drawing of {len(drawn):,} strokes is too long. Use at most {MOST_STROKES}."
        )
    points = 0
    checked = []
    for stroke in drawn:
        if not isinstance(stroke, list | tuple | np.ndarray):
            raise UserError(f"A stroke is a list of points and not {_kind(stroke)}. Draw it again.")
        points += len(stroke)
        if points > MOST_POINTS:
            raise UserError(
                f"A drawing of {points:,} points or more is too long. Use at most {MOST_POINTS:,}."
            )
        if len(stroke):
            checked.append(_points(stroke))
    return torch.from_numpy(strokes.ink(checked))[None, None]


def _points(stroke) -> np.ndarray:
    try:
        points = np.asarray(stroke)
    except (ValueError, TypeError, OverflowError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        raise UserError("A stroke holds something else than points. Give each as two numbers, x y.")
    if not (np.abs(points) <= FARTHEST).all():
        raise UserError(f"A point lies too far away. Keep x and y finite and within ±{FARTHEST:g}.")
    return points.astype(np.float64)


def _kind(value) -> str:
    return f"a {type(value).__name__}"


def digit_from_drawing(ink: np.ndarray) -> Tensor:
    """Shape a drawing's pixels the way the digits of MNIST were shaped.

    `ink` is (H, W) uint8, dark on light or light on dark, any size; a photographed sheet may
    be lit unevenly. Returns (1, 1, 28, 28) float32 in [0, 1]: the inked box scaled to 20 pixels
    on its longer side, proportions kept, its centre of mass in the middle to within half a
    pixel (LeCun, Cortes and Burges, "The MNIST database"). A pen far thinner or thicker than
    those of MNIST is brought near them. Nothing drawn gives zeros.
    """
    shrunk = -(-max(ink.shape) // COARSE)
    found = _standing_out(np.asarray(Image.fromarray(ink).reduce(shrunk), np.float32))
    if not found.any():
        return torch.zeros(1, 1, SIDE, SIDE)
    rows, columns = _inked_box(found)
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    if shrunk > 1 and 2 * longer < max(found.shape):
        near = [
            slice(max(side.start - longer // 4 - 1, 0) * shrunk, (side.stop + longer // 4) * shrunk)
            for side in (rows, columns)
        ]
        return digit_from_drawing(ink[near[0], near[1]])
    box = _resized(_with_usual_pen(found[rows, columns]), BOX)
    return torch.from_numpy(_centred(box / box.max()))[None, None]


def _standing_out(grey: np.ndarray) -> np.ndarray:
    """How strongly each pixel is inked, 1 being black on white or white on black; 0 is paper."""
    paper = _paper(grey)
    dark = paper - grey
    is_dark = dark.max() >= -dark.min()
    ink, fullest = (dark, paper) if is_dark else (-dark, 255 - paper)
    grain = np.median(np.abs(dark))
    faintest = max(FAINTEST, 6 * grain, min(grain, 1) * ink.max() / 4)
    if ink.max() < 2 * faintest:
        return np.zeros_like(grey)
    return np.where(ink >= faintest, ink / fullest.clip(1), 0)


def _paper(grey: np.ndarray) -> np.ndarray:
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


def _inked_box(ink: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _with_usual_pen(ink: np.ndarray) -> np.ndarray:
    """Thicken a hairline and thin a brush, as MNIST has neither; leave all others alone."""
    if PENS[0] <= _pen(ink) * BOX / max(ink.shape) <= PENS[1]:
        return ink
    ink = _resized(ink, FINE)
    ink = (ink / np.percentile(ink[ink > 0], 80)).clip(0, 1)
    pen = _pen(ink)
    wanted = USUAL_PENS[0] if pen < PENS[0] * FINE / BOX else USUAL_PENS[1]
    ink = _spread(ink, round((wanted * FINE / BOX - pen) / 2))
    return ink[_inked_box(ink)]


def _pen(ink: np.ndarray) -> float:
    """The mean width of strokes in pixels: twice their area by the length of their outline."""
    ink = np.pad(ink, 1)
    outline = np.hypot(np.diff(ink, axis=0)[:, :-1], np.diff(ink, axis=1)[:-1]).sum()
    return 2 * ink.sum() / outline


def _spread(ink: np.ndarray, pixels: int) -> np.ndarray:
    """Ink grown by so many pixels on each side, or shrunk where `pixels` is negative."""
    sign = -1 if pixels < 0 else 1
    reach = abs(pixels)
    signed = torch.from_numpy(np.pad(ink, max(pixels, 0)))[None] * sign
    return (max_pool2d(signed, 2 * reach + 1, 1, reach)[0] * sign).numpy()


def _resized(picture: np.ndarray, longer: int) -> np.ndarray:
    scale = longer / max(picture.shape)
    height, width = (max(1, round(side * scale)) for side in picture.shape)
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized).clip(0)


def _centred(box: np.ndarray) -> np.ndarray:
    """The box on a field of 28 x 28, its centre of mass as near the middle as it can lie."""
    field = np.zeros((SIDE, SIDE), np.float32)
    height, width = box.shape
    row = round((SIDE - 1) / 2 - np.average(np.arange(height), weights=box.sum(1)))
    column = round((SIDE - 1) / 2 - np.average(np.arange(width), weights=box.sum(0)))
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    field[row : row + height, column : column + width] = box
    return field


def digit_from_photo(photo: Image.Image) -> Tensor:
    """Read a photograph, as `open_photo` gives it, as a drawing: (1, 1, 28, 28) in [0, 1]."""
    return digit_from_drawing(np.asarray(photo.convert("L")))


def open_photo(path: str | Path) -> Image.Image:
    """Open a person's picture as one would see it: upright, in RGB, on white where transparent.

    JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF; of an animation the first frame. Pictures of more
    than 40 megapixels are refused before a pixel is decoded, and very large ones come back
    reduced. `info` keeps only "size", (width, height) as given and upright, and "notes", a
    tuple of phrases on what was done. Every fault is a `UserError`.
    """
    path = Path(path)
    name = "".join(character for character in path.name if character.isprintable())[:80]
    if path.is_dir():
        raise UserError(f"“{name}” is a folder. Choose a picture in it.")
    if not path.is_file():
        raise UserError(f"There is no file “{name}”. Check its name and where it lies.")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of what is answered below
            return _decoded(file, name)
    except OSError as error:
        raise UserError(
            f"“{name}” could not be opened ({error.strerror}). Check that you may read it."
        ) from None


def _decoded(file: BinaryIO, name: str) -> Image.Image:
    if not file.read(1):
        raise UserError(f"“{name}” is empty. Choose another picture.")
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise UserError(_too_large(name, "far more than 40 million pixels")) from None
    except Exception:  # a decoder raises whatever a broken file makes it stumble over
        raise UserError(
            f"“{name}” is damaged, or not a picture of a kind that can be read here. "
            "Save it as JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF and try again."
        ) from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise UserError(_too_large(name, f"{width} x {height} pixels"))
    if max(width, height) > LONGEST_SHAPE * min(width, height):
        raise UserError(
            f"“{name}” is {width} x {height} pixels, too narrow to show anything. "
            "Choose another picture."
        )
    if image.format in ("JPEG", "MPO") and _scans(file) > MOST_SCANS:
        raise UserError(
            f"“{name}” is stored in an unusual way, in hundreds of layers. "
            "Save it anew as JPEG or PNG."
        )
    try:
        return _upright(image)
    except Exception:  # as above
        raise UserError(
            f"“{name}” is damaged, cut short or stored in an unusual way. "
            "Fetch it again, or save it anew as JPEG or PNG."
        ) from None


def _scans(file: BinaryIO) -> int:
    """How many scans a JPEG has: the mark of one never stands within what is compressed."""
    place = file.tell()
    file.seek(0)
    found = sum(part.count(b"\xff\xda") for part in iter(lambda: file.read(1 << 20), b""))
    file.seek(place)
    return found


def _too_large(name: str, size: str) -> str:
    return f"“{name}” has {size}. Make it smaller than 40 megapixels and try again."


def _upright(image: Image.Image) -> Image.Image:
    size = image.size
    image.draft(None, (ENOUGH_PIXELS, ENOUGH_PIXELS))
    image.load()
    notes = []
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append("its first frame")
    if image.has_transparency_data:
        notes.append("laid on white")
    photo = _in_rgb(image)
    photo = photo.reduce(max(1, min(photo.size) // ENOUGH_PIXELS))
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        notes.append("turned upright")
        photo = photo.transpose(turn)
    if (photo.width < photo.height) != (size[0] < size[1]):
        size = size[::-1]
    photo.info = {"size": size, "notes": tuple(notes)}
    return photo


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a broken note on how the camera was held spoils no picture
        return None


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return _from_deep_grey(np.array(image, np.float32)).convert("RGB")
    if image.has_transparency_data:
        seen = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(seen, mask=seen.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep_grey(grey: np.ndarray) -> Image.Image:
    """Numbers of any range as grey: white is 1, 255 or 65,535 where they fit, else the largest."""
    grey = np.nan_to_num(grey, nan=0, posinf=0, neginf=0)
    brightest = grey.max()
    white = next((level for level in (1, 255, 65535) if brightest <= level), brightest)
    return Image.fromarray((grey.clip(0) * (255 / white)).round().astype(np.uint8))


def square_from_photo(photo: Image.Image, dataset: Dataset, whole: bool = False) -> Tensor:
    """Bring a photograph to the size of a data set's pictures.

    Takes the square in its middle, or the `whole` picture squeezed into one. Returns
    (1, C, size, size) float32 in [0, 1]; a picture of that size already passes bit for bit.
    """
    mode = "RGB" if dataset.channels == 3 else "L"
    photo = photo if photo.mode == mode else photo.convert(mode)
    if not whole:
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        photo = photo.crop((left, top, left + side, top + side))
    # of Pillow's filters the one whose fine detail is weakened as that of CIFAR-10 is; a
    # large picture is halved first, which moves no colour by more than a step of 255
    small = photo.resize((dataset.size, dataset.size), Image.Resampling.BILINEAR, reducing_gap=6)
    pixels = torch.from_numpy(np.array(small)).reshape(dataset.size, dataset.size, -1)
    return pixels.permute(2, 0, 1)[None].float() / 255


def views_from_photo(photo: Image.Image, dataset: Dataset) -> Tensor:
    """Look at a photograph as the square in its middle and as a whole.

    Returns (2, C, size, size) float32 in [0, 1], or (1, ...) where it is square anyway.
    """
    views = [square_from_photo(photo, dataset)]
    if photo.width != photo.height:
        views.append(square_from_photo(photo, dataset, whole=True))
    return torch.cat(views)


def describe_photo(photo: Image.Image, dataset: Dataset) -> str:
    """Say in a sentence what `open_photo` and `views_from_photo` did to a photograph."""
    width, height = photo.info.get("size", photo.size)
    given = ", ".join([f"{width} x {height} pixels", *photo.info.get("notes", ())])
    views = (
        "as a whole"
        if photo.width == photo.height
        else "as the square in its middle and as a whole"
    )
    return f"{given}; looked at {views}, scaled to {dataset.size} x {dataset.size} pixels."
