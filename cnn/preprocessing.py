"""Whatever a person gives, as the network wants it: strokes, a drawing's pixels, a photograph."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnn import UserError, strokes
from cnn.datasets import Dataset

MOST_STROKES = 200
MOST_POINTS = 20_000
FARTHEST = 1e9

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MOST_PIXELS = 40_000_000
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

    `ink` is (H, W) uint8, dark on light or light on dark, any size.
    Returns (1, 1, 28, 28) float32 in [0, 1]: the inked box scaled to 20 pixels on its longer
    side, proportions kept, its centre of mass in the middle to within half a pixel (LeCun,
    Cortes and Burges, "The MNIST database"). Nothing drawn gives zeros.
    """
    grey = ink.astype(np.float32) / 255
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = np.median(border)
    ink = np.abs(grey - paper)
    ink[ink < 0.05] = 0
    digit = np.zeros((28, 28), np.float32)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows):
        return torch.from_numpy(digit)[None, None]
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    scale = 20 / max(bottom - top, right - left)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    box = Image.fromarray(ink[top:bottom, left:right]).resize(size, Image.Resampling.BICUBIC)
    small = np.clip(np.asarray(box), 0, None)
    small = small / small.max()
    row, column = (
        round(14 - np.average(np.arange(n) + 0.5, weights=small.sum(1 - axis)))
        for axis, n in enumerate(small.shape)
    )
    row = min(max(row, 0), 28 - small.shape[0])
    column = min(max(column, 0), 28 - small.shape[1])
    digit[row : row + small.shape[0], column : column + small.shape[1]] = small
    return torch.from_numpy(digit)[None, None]


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
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            return _decoded(file, path.name)
    except FileNotFoundError:
        raise UserError(f"There is no file “{path.name}”. Check its name and folder.") from None
    except IsADirectoryError:
        raise UserError(f"“{path.name}” is a folder. Choose a picture in it.") from None
    except PermissionError:
        raise UserError(f"“{path.name}” may not be read. Change its permissions.") from None


def _decoded(file, name: str) -> Image.Image:
    if not file.read(1):
        raise UserError(f"“{name}” is empty. Choose another picture.")
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(_too_large(name, "far over 40 megapixels")) from None
    except Exception:  # decoders raise whatever a broken file makes them stumble over
        raise UserError(
            f"“{name}” is not a picture that can be read here. "
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
    try:
        return _upright(image)
    except Exception:  # as above
        raise UserError(
            f"“{name}” is damaged or cut short. Copy or download it again, or choose another."
        ) from None


def _too_large(name: str, size: str) -> str:
    return f"“{name}” has {size}. Make it smaller than 40 megapixels and try again."


def _upright(image: Image.Image) -> Image.Image:
    size = image.size
    frames = getattr(image, "n_frames", 1) if image.format in ("GIF", "WEBP", "PNG") else 1
    image.draft(None, (ENOUGH_PIXELS, ENOUGH_PIXELS))
    image.load()
    notes = []
    if frames > 1:
        notes.append(f"the first of {frames} frames")
    turn = _TURNS.get(_orientation(image))
    if image.mode not in ("I", "F") and image.has_transparency_data:
        notes.append("laid on white")
    photo = _rgb(image)
    photo = photo.reduce(max(1, min(photo.size) // ENOUGH_PIXELS))
    if turn is not None:
        notes.append("turned upright")
        photo = photo.transpose(turn)
    if (photo.width < photo.height) != (size[0] < size[1]):
        size = size[::-1]
    photo.info = {"size": size, "notes": tuple(notes)}
    return photo


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # a broken note on how the camera was held spoils no picture
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _from_deep_grey(image: Image.Image) -> Image.Image:
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0, posinf=0, neginf=0)
    if image.mode.startswith("I;16"):
        white = 65535
    else:
        brightest = grey.max()
        white = next((level for level in (1, 255, 65535) if brightest <= level), brightest)
    return Image.fromarray((grey.clip(0, white) * (255 / white)).round().astype(np.uint8))


def square_from_photo(photo: Image.Image, dataset: Dataset, whole: bool = False) -> Tensor:
    """Bring a photograph to the size of a data set's pictures.

    Takes the square in its middle, or the `whole` picture squeezed into one. Returns
    (1, C, size, size) float32 in [0, 1]; a picture of that size already passes bit for bit.
    """
    photo = photo.convert("RGB" if dataset.channels == 3 else "L")
    width, height = photo.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = None if whole else (left, top, left + side, top + side)
    small = photo.resize((dataset.size, dataset.size), Image.Resampling.LANCZOS, box)
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
    views = "as a whole" if width == height else "as the square in its middle and as a whole"
    return f"{given}; looked at {views}, made {dataset.size} x {dataset.size} pixels small."
