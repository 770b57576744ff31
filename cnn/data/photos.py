"""Photographs that people give: any common file, decoded safely, as views for a network."""

import contextlib
import functools
import io
import threading
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pillow_heif
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps, ImageStat, PngImagePlugin
from torch import Tensor

from cnn import UserError
from cnn.data.datasets import Dataset

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
MAX_PIXELS = 40_000_000
MAX_HEIC_PIXELS = 50_000_000  # of phones; decoding takes a second and 7 bytes a pixel
MAX_JPEG_PIXELS = 120_000_000  # where the decoder reduces as it reads, and holds a row at a time
LARGE_PIXELS = 16_000_000  # of an image that is decoded whole, beyond which it is done alone
MAX_PROFILE_BYTES = 4_000_000
MAX_NOTE_BYTES = 4_000_000  # of a PNG, decompressed: Pillow reads 64 MB before any pixel
MAX_SCANS = 50  # a progressive JPEG has about ten, and each visits every pixel again
MAX_ASPECT_RATIO = 100
DECODED_SIDE = 1024  # for digits on paper
VIEWED_SIDE = 512  # for views: no pixel of theirs moves by more than a step of 255
WHITE_LEVEL = 0.8  # that nearly all of CIFAR-10's images reach
MAX_GAIN = 10.0
LIGHTEST_ON_WHITE = 225  # of 255: what is lighter on average hardly shows on white
NOTED_GAIN = 1.5

_one_at_a_time = threading.Lock()


def open_photo(path: str | Path, side: int = DECODED_SIDE) -> Image.Image:
    """Open a person's image as one would see it: upright, in sRGB.

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC; of an animation the first frame. What is
    transparent lies on white, or on black where the rest is nearly white. Images of more than 40
    megapixels (HEIC: 50, JPEGs that are not progressive: 120) are refused before a pixel is
    decoded. Large ones are decoded one at a time where that holds them whole in memory, and
    those whose shorter side is at least twice `side` come back reduced to no less than that.
    `info` keeps only "size", (width, height) as given and upright, and "notes", a tuple of phrases
    on what was done. Every fault is a `UserError`.
    """
    path = Path(path)
    name = "".join(character for character in path.name if character.isprintable())[:80]
    if path.is_dir():
        raise UserError(f"“{name}” is a folder. Choose an image in it.")
    if not path.is_file():
        raise UserError(f"There is no file “{name}”. Check its name and where it lies.")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of what is answered below
            return _decoded(file, name, side)
    except OSError as error:
        raise UserError(
            f"“{name}” could not be opened ({error.strerror}). Check that you may read it."
        ) from None


def _decoded(file: BinaryIO, name: str, side: int) -> Image.Image:
    if not file.read(1):
        raise UserError(f"“{name}” is empty. Choose another image.")
    file.seek(0)
    try:
        _configure_pillow()
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise UserError(_too_large(name, "far too many pixels", MAX_PIXELS)) from None
    except Exception:  # a decoder raises whatever a broken file makes it stumble over
        raise UserError(
            f"“{name}” is damaged, or not an image of a kind that can be read here. "
            "Save it as JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC and try again."
        ) from None
    width, height = image.size
    is_reduced_when_read = image.format in ("JPEG", "MPO") and "progressive" not in image.info
    limit = MAX_HEIC_PIXELS if image.format == "HEIF" else MAX_PIXELS
    limit = MAX_JPEG_PIXELS if is_reduced_when_read else limit
    if width * height > limit:
        raise UserError(_too_large(name, f"{width} x {height} pixels", limit))
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise UserError(
            f"“{name}” is {width} x {height} pixels, too narrow to show anything. "
            "Choose another image."
        )
    if image.format in ("JPEG", "MPO") and _scans(file) > MAX_SCANS:
        raise UserError(
            f"“{name}” is stored in an unusual way, in hundreds of layers. "
            "Save it anew as JPEG or PNG."
        )
    is_large = not is_reduced_when_read and width * height > LARGE_PIXELS
    try:
        with _one_at_a_time if is_large else contextlib.nullcontext():
            return _transpose(image, side)
    except Exception:  # as above
        raise UserError(
            f"“{name}” is damaged, cut short or stored in an unusual way. "
            "Fetch it again, or save it anew as JPEG or PNG."
        ) from None


def _scans(file: BinaryIO) -> int:
    """Count the scans of a JPEG: their marker never occurs within compressed data."""
    position = file.tell()
    file.seek(0)
    count = sum(part.count(b"\xff\xda") for part in iter(lambda: file.read(1 << 20), b""))
    file.seek(position)
    return count


def _too_large(name: str, size: str, limit: int) -> str:
    megapixels = limit // 1_000_000
    return f"“{name}” has {size}. Make it smaller than {megapixels} megapixels and try again."


@functools.cache
def _configure_pillow() -> None:
    pillow_heif.register_heif_opener(thumbnails=False)
    PngImagePlugin.MAX_TEXT_MEMORY = MAX_NOTE_BYTES


def _transpose(image: Image.Image, side: int) -> Image.Image:
    size = image.size
    image.draft(None, (side, side))
    image.load()
    profile = image.info.get("icc_profile")
    notes = []
    if getattr(image, "is_animated", False) and image.format not in ("MPO", "HEIF"):
        notes.append("its first frame")
    photo = _to_8_bits(image)
    photo = photo.reduce(max(1, min(photo.size) // side))
    if photo.has_transparency_data:
        photo, backdrop = _on_backdrop(photo.convert("RGBA"))
        notes.append(f"laid on {backdrop}")
    photo = _to_srgb(photo, profile)
    turned = _upright(photo, image)
    if turned is not photo:
        notes.append("turned upright")
    if (turned.width < turned.height) != (size[0] < size[1]):
        size = size[::-1]
    turned.info = {"size": size, "notes": tuple(notes)}
    return turned


def _upright(photo: Image.Image, image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken note on how the camera was held spoils no image
        return photo
    if orientation not in range(2, 9):
        return photo
    photo.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(photo)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Reduce 16 and 32 bits per channel to 8; a transparent grey becomes an alpha channel."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if not image.mode.startswith("I;16") and image.mode not in ("I", "F"):
        return image.convert("RGBA") if image.has_transparency_data else image
    deep = np.array(image, np.float32)
    is_16_bits = image.mode.startswith("I;16")
    grey = _grey(deep / 256) if is_16_bits else _from_deep_grey(deep)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(((deep != transparent) * 255).astype(np.uint8)))
    return grey


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def _on_backdrop(image: Image.Image) -> tuple[Image.Image, str]:
    """Lay an RGBA image on white, or on black where what is opaque would not show on white."""
    alpha = image.getchannel("A")
    opaque = alpha.point(lambda value: 255 * (value >= 128))
    seen = ImageStat.Stat(image.convert("L"), opaque)
    is_light = seen.count[0] and seen.mean[0] > LIGHTEST_ON_WHITE
    backdrop = "black" if is_light and opaque.getextrema()[0] == 0 else "white"
    laid = Image.new("RGB", image.size, backdrop)
    laid.paste(image, mask=alpha)
    return laid, backdrop


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB by the image's color profile, where it has a sound one of its mode."""
    if profile and len(profile) <= MAX_PROFILE_BYTES and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                target = ImageCms.createProfile("sRGB")
                image = ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image
        except Exception:  # a broken profile, or that of another mode, spoils no image
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep_grey(grey: np.ndarray) -> Image.Image:
    """Scale grey of any range to 8 bits; white is 1, 255 or 65,535 if they fit, else the most."""
    grey = np.nan_to_num(grey, nan=0, posinf=0, neginf=0)
    brightest = grey.max()
    white = next((level for level in (1, 255, 65535) if brightest <= level), brightest)
    return _grey((grey.clip(0) * (255 / white)).round())


def square_from_photo(photo: Image.Image, dataset: Dataset, whole: bool = False) -> Tensor:
    """Bring a photograph to the size of a data set's images.

    Takes the square in its middle, or the `whole` image squeezed into one. Returns
    (1, C, size, size) float32 in [0, 1]; an image of that size already passes bit for bit.
    """
    mode = "RGB" if dataset.channels == 3 else "L"
    photo = photo if photo.mode == mode else photo.convert(mode)
    if not whole:
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        photo = photo.crop((left, top, left + side, top + side))
    # of Pillow's filters the one whose fine detail is weakened as that of CIFAR-10 is; a
    # large image is halved first, which moves no color by more than a step of 255
    small = photo.resize((dataset.size, dataset.size), Image.Resampling.BILINEAR, reducing_gap=6)
    pixels = torch.from_numpy(np.array(small)).reshape(dataset.size, dataset.size, -1)
    return pixels.permute(2, 0, 1)[None].float() / 255


def views_from_photo(photo: Image.Image, dataset: Dataset) -> Tensor:
    """Look at a photograph as the square in its middle and as a whole, brightened where dark.

    Returns (2, C, size, size) float32 in [0, 1], or (1, ...) where it is square anyway.
    """
    return brighten(_views(photo, dataset))


def brighten(views: Tensor) -> Tensor:
    """Multiply dark views of one photograph, float32 (N, C, H, W) in [0, 1], by one factor.

    Brings the 99th percentile of the pixels to the white level that nearly all images of CIFAR-10
    reach; at most tenfold.
    """
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
