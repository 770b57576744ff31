"""The two color maps of all images, safe for the color-blind.

A sequential one from black, for activations and probabilities, and a diverging one, blue for
negative, white for zero and orange for positive values, for weights and attributions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

GREY = (128, 130, 136, 255)  # legible on light and dark pages
WHITE = (255, 255, 255, 255)
ORANGE = (232, 96, 44, 255)  # the page's accent, between its two shades

SEQUENTIAL = (0, 0, 0), (122, 38, 8), (222, 88, 36), (255, 176, 138), (255, 250, 242)
DIVERGING = (8, 64, 160), (92, 148, 222), (247, 247, 247), (240, 140, 62), (176, 66, 0)


def sequential(values: Tensor, low: float, high: float) -> Tensor:
    """Map activations to colors (..., 3) uint8: black at `low`, nearly white at `high`."""
    return interpolate(SEQUENTIAL, (values - low) / max(high - low, 1e-12))


def diverging(values: Tensor, largest: float) -> Tensor:
    """Map weights to colors (..., 3) uint8: blue at -`largest`, white at 0, orange at `largest`."""
    return interpolate(DIVERGING, (values / max(largest, 1e-12) + 1) / 2)


def interpolate(colors: Sequence[tuple[int, ...]], fractions: Tensor) -> Tensor:
    """Interpolate colors (..., 3) uint8, from the first at 0 to the last at 1."""
    stops = torch.tensor(colors, dtype=torch.float32)
    index = fractions.float().clamp(0, 1) * (len(stops) - 1)
    below = index.floor().long().clamp(max=len(stops) - 2)
    mixed = torch.lerp(stops[below], stops[below + 1], (index - below).unsqueeze(-1))
    return mixed.round().byte()


def contrast_color(color: list[int] | tuple[int, ...]) -> tuple[int, int, int]:
    """Return black or white, whichever is more legible on a color."""
    red, green, blue = ((part / 255) ** 2.2 for part in color)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # relative luminance as in WCAG
    return (0, 0, 0) if light > 0.179 else (255, 255, 255)
