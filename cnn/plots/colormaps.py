"""The two colour scales that all pictures share, safe for the colour-blind.

From black for activations and shares, and about zero, blue for negative and orange for
positive, for weights and attributions.
"""

import torch
from torch import Tensor

GREY = (128, 130, 136, 255)  # can be read on paper and on graphite
WHITE = (255, 255, 255, 255)
ORANGE = (232, 96, 44, 255)  # the page's accent, between its two shades

SEQUENTIAL = (0, 0, 0), (122, 38, 8), (222, 88, 36), (255, 176, 138), (255, 250, 242)
DIVERGING = (8, 64, 160), (92, 148, 222), (247, 247, 247), (240, 140, 62), (176, 66, 0)


def sequential(values: Tensor, low: float, high: float) -> Tensor:
    """Colours (..., 3) uint8 of activations: black at `low`, nearly white at `high`."""
    return interpolate(SEQUENTIAL, (values - low) / max(high - low, 1e-12))


def diverging(values: Tensor, largest: float) -> Tensor:
    """Colours (..., 3) uint8 of weights: blue at -`largest`, white at zero, orange at `largest`."""
    return interpolate(DIVERGING, (values / max(largest, 1e-12) + 1) / 2)


def interpolate(scale: tuple, shares: Tensor) -> Tensor:
    """Colours (..., 3) uint8 along a scale, from its first at 0 to its last at 1."""
    stops = torch.tensor(scale, dtype=torch.float32)
    at = shares.float().clamp(0, 1) * (len(stops) - 1)
    below = at.floor().long().clamp(max=len(stops) - 2)
    mixed = torch.lerp(stops[below], stops[below + 1], (at - below).unsqueeze(-1))
    return mixed.round().byte()


def contrast_color(color: list[int] | tuple[int, ...]) -> tuple[int, int, int]:
    """Black or white, whichever is read better on a colour."""
    red, green, blue = ((part / 255) ** 2.2 for part in color)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # as WCAG counts it
    return (0, 0, 0) if light > 0.179 else (255, 255, 255)
