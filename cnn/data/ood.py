"""Pictures that show none of a data set's classes, to see whether a network notices."""

import functools

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional
from cnn.data import strokes
from cnn.data.datasets import Dataset
from cnn.data import synthetic
from cnn.data.drawings import digit_from_drawing

COUNT = 400
LETTERS = "ABCDEFGHJKLMNPQRTUVWXYabdefghkmnpqrtwy&%#@?"
TYPEFACES = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSerif", "STIXGeneral", "cmr10")


@functools.cache
def ood_images(dataset: Dataset) -> dict[str, Tensor]:
    """Several hundred pictures of each kind by the kind's name, float32 (N, C, H, W) in [0, 1].

    Beside digits: letters and signs in matplotlib's typefaces, and scribbles. Beside photographs:
    noise, stripes, and handwritten digits on coloured paper. Drawn once a process, and shared.
    """
    generator = np.random.default_rng(0)
    if dataset.channels == 1:
        kinds = {"letters": _letters(), "scribbles": _scribbles(generator)}
    else:
        kinds = {
            "noise": _noise(generator),
            "stripes": _stripes(generator),
            "digits": _digits(generator),
        }
    return {name: torch.as_tensor(pictures).float() for name, pictures in kinds.items()}


def _letters() -> Tensor:
    folder = f"{matplotlib.get_data_path()}/fonts/ttf"
    fonts = [ImageFont.truetype(f"{folder}/{name}.ttf", 100) for name in TYPEFACES]
    return torch.cat([_printed(letter, font) for font in fonts for letter in LETTERS])


def _printed(letter: str, font: ImageFont.FreeTypeFont) -> Tensor:
    paper = Image.new("L", (200, 200), 0)
    ImageDraw.Draw(paper).text((100, 100), letter, fill=255, font=font, anchor="mm")
    return digit_from_drawing(np.asarray(paper))


def _scribbles(generator: np.random.Generator) -> np.ndarray:
    walks = generator.normal(0, 1, (COUNT, 40, 2)).cumsum(1)
    return np.stack([strokes.rasterize([walk]) for walk in walks])[:, None]


def _noise(generator: np.random.Generator) -> Tensor:
    """From coarse clouds to single pixels."""
    return torch.cat([_cloud(generator, grains) for grains in (2, 4, 8, 16, 32)])


def _cloud(generator: np.random.Generator, grains: int) -> Tensor:
    coarse = torch.from_numpy(generator.random((COUNT // 5, 3, grains, grains)))
    return functional.interpolate(coarse, 32, mode="bilinear", align_corners=True)


def _stripes(generator: np.random.Generator) -> np.ndarray:
    """Two waves across one another, in two colours."""
    rows, columns = np.mgrid[:32, :32]
    turn, pitch, phase = generator.random((3, 2, COUNT, 1, 1, 1))
    along = columns * np.cos(np.pi * turn) + rows * np.sin(np.pi * turn)
    share = np.sin(1.5 * pitch * along + 2 * np.pi * phase).mean(0) / 2 + 0.5
    return _in_two_colors(share, generator)


def _digits(generator: np.random.Generator) -> np.ndarray:
    images, _ = synthetic.synthetic_digits(COUNT, seed=int(generator.integers(1000)))
    return _in_two_colors(
        np.pad(images[:, None] / 255, ((0, 0), (0, 0), (2, 2), (2, 2))), generator
    )


def _in_two_colors(share: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    first, second = generator.random((2, COUNT, 3, 1, 1))
    return first * share + second * (1 - share)
