"""Split off."""

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor

from cnn import UserError
from cnn.data.datasets import Dataset
from cnn.data.drawings import digit_from_drawing

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_PIXELS = 40_000_000
MAX_SCANS = 50  # a progressive JPEG has about ten, and each visits every pixel again
MAX_ASPECT_RATIO = 100
DECODED_SIDE = 1024
WHITE_LEVEL = 0.8  # that nearly all of CIFAR-10's images reach
MAX_GAIN = 10.0
NOTED_GAIN = 1.5

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    if width * height > MAX_PIXELS:
        raise UserError(_too_large(name, f"{width} x {height} pixels"))
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise UserError(
            f"“{name}” is {width} x {height} pixels, too narrow to show anything. "
            "Choose another picture."
        )
    if image.format in ("JPEG", "MPO") and _scans(file) > MAX_SCANS:
        raise UserError(
            f"“{name}” is stored in an unusual way, in hundreds of layers. "
            "Save it anew as JPEG or PNG."
        )
    try:
        return _transpose(image)
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


def _transpose(image: Image.Image) -> Image.Image:
    size = image.size
    image.draft(None, (DECODED_SIDE, DECODED_SIDE))
    image.load()
    notes = []
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append("its first frame")
    if image.has_transparency_data:
        notes.append("laid on white")
    photo = _to_rgb(image)
    photo = photo.reduce(max(1, min(photo.size) // DECODED_SIDE))
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


def _to_rgb(image: Image.Image) -> Image.Image:
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
    """Look at a photograph as the square in its middle and as a whole, brightened where dark.

    Returns (2, C, size, size) float32 in [0, 1], or (1, ...) where it is square anyway.
    """
    views = _views(photo, dataset)
    return (views * _exposure_gain(views)).clamp(max=1)


def _views(photo: Image.Image, dataset: Dataset) -> Tensor:
    views = [square_from_photo(photo, dataset)]
    if photo.width != photo.height:
        views.append(square_from_photo(photo, dataset, whole=True))
    return torch.cat(views)


def _exposure_gain(views: Tensor) -> float:
    """Compute the factor, 1 to 10, that brings the 99th percentile of dark views to 0.8."""
    white = views.amax(1).quantile(0.99).item()
    return min(max(1.0, WHITE_LEVEL / max(white, 1 / 255)), MAX_GAIN)


def describe_photo(photo: Image.Image, dataset: Dataset) -> str:
    """Say in a sentence what `open_photo` and `views_from_photo` did to a photograph."""
    width, height = photo.info.get("size", photo.size)
    given = ", ".join([f"{width} x {height} pixels", *photo.info.get("notes", ())])
    views = (
        "as a whole"
        if photo.width == photo.height
        else "as the square in its middle and as a whole"
    )
    gain = _exposure_gain(_views(photo, dataset))
    brightened = f", brightened {gain:.1f} times" if gain >= NOTED_GAIN else ""
    return (
        f"{given}; looked at {views}, scaled to {dataset.size} x {dataset.size} pixels{brightened}."
    )
