"""Out-of-distribution images: they show none of a data set's classes."""

import functools
from collections.abc import Callable

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from cnn.data import strokes, synthetic
from cnn.data.datasets import Dataset
from cnn.data.drawings import digit_from_drawing

COUNT = 400
LETTERS = "ABCDEFGHJKLMNPQRTUVWXYabdefghkmnpqrtwy&%#@?"
TYPEFACES = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSerif", "STIXGeneral", "cmr10")


@functools.cache
def ood_images(dataset: Dataset) -> dict[str, Tensor]:
    """Draw some 400 images of each kind in `dataset.ood`: float32 (N, C, H, W) in [0, 1].

    For digits: letters and signs in matplotlib's typefaces, and scribbles. For photographs: noise,
    stripes, and handwritten digits in two colours. Drawn once per process and shared.
    """
    generator = np.random.default_rng(0)
    return {kind: torch.as_tensor(KINDS[kind](generator)).float() for kind in dataset.ood}


def _letters(_: np.random.Generator) -> Tensor:
    folder = f"{matplotlib.get_data_path()}/fonts/ttf"
    fonts = [ImageFont.truetype(f"{folder}/{name}.ttf", 100) for name in TYPEFACES]
    return torch.cat([_printed(letter, font) for font in fonts for letter in LETTERS])


def _printed(letter: str, font: ImageFont.FreeTypeFont) -> Tensor:
    page = Image.new("L", (200, 200), 0)
    ImageDraw.Draw(page).text((100, 100), letter, fill=255, font=font, anchor="mm")
    return digit_from_drawing(np.asarray(page))


def _scribbles(generator: np.random.Generator) -> np.ndarray:
    walks = generator.normal(0, 1, (COUNT, 40, 2)).cumsum(1)
    return np.stack([strokes.rasterize([walk]) for walk in walks])[:, None]


def _noise(generator: np.random.Generator) -> Tensor:
    """Draw noise from coarse clouds to single pixels."""
    return torch.cat([_cloud(generator, grains) for grains in (2, 4, 8, 16, 32)])


def _cloud(generator: np.random.Generator, grains: int) -> Tensor:
    coarse = torch.from_numpy(generator.random((COUNT // 5, 3, grains, grains)))
    return functional.interpolate(coarse, 32, mode="bilinear", align_corners=True)


def _stripes(generator: np.random.Generator) -> np.ndarray:
    """Draw the sum of two waves of different directions, in two colours."""
    rows, columns = np.mgrid[:32, :32]
    angle, frequency, phase = generator.random((3, 2, COUNT, 1, 1, 1))
    distance = columns * np.cos(np.pi * angle) + rows * np.sin(np.pi * angle)
    mix = np.sin(1.5 * frequency * distance + 2 * np.pi * phase).mean(0) / 2 + 0.5
    return _in_two_colors(mix, generator)


def _digits(generator: np.random.Generator) -> np.ndarray:
    images, _ = synthetic.synthetic_digits(COUNT, seed=int(generator.integers(1000)))
    padded = np.pad(images[:, None] / 255, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return _in_two_colors(padded, generator)


def _in_two_colors(mix: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    first, second = generator.random((2, COUNT, 3, 1, 1))
    return first * mix + second * (1 - mix)


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray | Tensor]] = {
    "letters": _letters,
    "scribbles": _scribbles,
    "noise": _noise,
    "stripes": _stripes,
    "digits": _digits,
}
