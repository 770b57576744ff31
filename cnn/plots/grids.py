"""Image grids of filters and feature maps, and single images enlarged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from cnn.files import report_write_errors
from cnn.interpret.layers import Box, feature_maps
from cnn.plots.colormaps import (
    GREY,
    SEQUENTIAL,
    WHITE,
    diverging,
    interpolate,
    sequential,
)

MAX_WIDTH = 960  # pixels, of a grid
ENLARGED = 448  # pixels, of a single image
GAP = 8
CAPTION = 22
LEGEND_HEIGHT = 30

Scale = str | Sequence[tuple[int, ...]]  # a sentence, or the colors from the lowest value on


@dataclass(frozen=True)
class GridLayout:
    """The layout of `count` tiles of `height` x `width` pixels each."""

    count: int
    height: int
    width: int

    @property
    def columns(self) -> int:
        """Tiles per row."""
        return 8 if self.count <= 32 else 12 if self.count <= 96 else 16

    @property
    def enlarged(self) -> int:
        """The factor by which tiles are enlarged."""
        return max(1, (MAX_WIDTH // self.columns - GAP) // self.width)

    @property
    def pitch(self) -> tuple[int, int]:
        """The distance from tile to tile in pixels, across and down."""
        return self.width * self.enlarged + GAP, self.height * self.enlarged + CAPTION

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the grid in pixels."""
        rows = -(-self.count // self.columns)
        return self.columns * self.pitch[0] - GAP, rows * self.pitch[1] + LEGEND_HEIGHT

    def corner(self, index: int) -> tuple[int, int]:
        """Return the upper left pixel (x, y) of a tile."""
        row, column = divmod(index, self.columns)
        return column * self.pitch[0], row * self.pitch[1]


def first_conv(network: nn.Module) -> nn.Conv2d:
    """Return the first convolution of a network."""
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def filters(network: nn.Module) -> Image.Image:
    """Draw the filters of the first convolution as a grid, numbered, enlarged without smoothing.

    Filters of three channels are in color about mid-grey, others blue below zero and orange above;
    each is stretched to its own largest weight, so that its pattern shows however small it is.
    """
    weights = first_conv(network).weight.detach().float().cpu()
    tiles = torch.stack([_filter_colors(weight) for weight in weights])
    zero = "grey" if weights.shape[1] == 3 else "white"
    return _grid(tiles, f"{zero} is zero, each filter stretched to its own largest weight")


def _filter_colors(weights: Tensor) -> Tensor:
    """Return the colors (k, k, 3) of a filter (C, k, k)."""
    if weights.shape[0] == 3:
        stretched = weights / weights.abs().max().clamp(min=1e-12)
        return ((stretched + 1) * 127.5).round().byte().permute(1, 2, 0)
    mean = weights.mean(0)
    return diverging(mean, mean.abs().max().clamp(min=1e-12).item())


def feature_map_grid(maps: Tensor, each: bool = False) -> Image.Image:
    """Draw feature maps (C, H, W) as a grid, numbered, black for the lowest value.

    All maps share one scale, or `each` map has its own.
    """
    if each:
        lowest, highest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        fractions = (maps - lowest) / (highest - lowest).clamp(min=1e-12)
        text = "each map from its own lowest value to its own highest"
        return _grid(sequential(fractions, 0, 1), text)
    low, high = maps.min().item(), maps.max().item()
    return _grid(sequential(maps, low, high), SEQUENTIAL, low, high)


def _grid(tiles: Tensor, scale: Scale, low: float = 0, high: float = 0) -> Image.Image:
    """Draw tiles, colors (N, H, W, 3), as a grid with transparent gaps and a legend below."""
    layout = GridLayout(*tiles.shape[:3])
    canvas = np.zeros((*layout.size[::-1], 4), np.uint8)
    enlarged = tiles.repeat_interleave(layout.enlarged, 1).repeat_interleave(layout.enlarged, 2)
    height, width = enlarged.shape[1:3]
    for index, tile in enumerate(enlarged.numpy()):
        x, y = layout.corner(index)
        canvas[y : y + height, x : x + width] = 255
        canvas[y : y + height, x : x + width, :3] = tile
    sheet = Image.fromarray(canvas)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index in range(layout.count):
        x, y = layout.corner(index)
        pen.text((x + width / 2, y + height + 1), str(index), GREY, font, "ma")
    _print_scale(sheet, scale, low, high)
    return sheet


def _print_scale(sheet: Image.Image, scale: Scale, low: float, high: float) -> None:
    pen, font, middle = ImageDraw.Draw(sheet), ImageFont.load_default(15), sheet.height - 12
    if isinstance(scale, str):
        pen.text((0, middle), scale, GREY, font, "lm")
        return
    pen.text((0, middle), f"{low:.2f}", GREY, font, "lm")
    start = round(pen.textlength(f"{low:.2f}", font)) + 10
    ramp = interpolate(scale, torch.linspace(0, 1, 160)).expand(12, -1, -1)
    sheet.paste(Image.fromarray(ramp.numpy()), (start, middle - 6))
    pen.text((start + 170, middle), f"{high:.2f}", GREY, font, "lm")


def enlarged_image(image: Tensor, box: Box | None = None) -> Image.Image:
    """Enlarge an image (1 or 3, H, W) in [0, 1], with a box around a part."""
    return _enlarge(_pixels(image), box)


def overlay(image: Tensor, attribution: Tensor, opacity: float) -> Image.Image:
    """Draw an attribution (H, W) over an image (C, H, W) in [0, 1] in grey.

    Orange speaks for the class and blue against, the more strongly the more opaque. `opacity`
    in [0, 1] is that of the strongest attribution; the image is dimmed by half as much.
    """
    background = _pixels(image.mean(0, keepdim=True)) * (1 - opacity / 2)
    largest = attribution.abs().quantile(0.995).clamp(min=1e-12)
    weight = ((attribution.abs() / largest).clamp(max=1) * opacity).unsqueeze(-1)
    colors = diverging(attribution.sign(), 2).float()
    return _enlarge(torch.lerp(background, colors, weight).round().byte())


def _pixels(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)


def _enlarge(colors: Tensor, box: Box | None = None) -> Image.Image:
    image = Image.fromarray(colors.contiguous().numpy())
    scale = max(1, ENLARGED // max(image.size))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    if box:
        top, left, height, width = (side * scale for side in box)
        pen = ImageDraw.Draw(image)
        pen.rectangle((left - 3, top - 3, left + width + 2, top + height + 2), None, (0, 0, 0), 5)
        pen.rectangle((left - 2, top - 2, left + width + 1, top + height + 1), None, WHITE, 3)
    return image


def figures(network: nn.Sequential, image: Tensor) -> dict[str, Image.Image]:
    """Draw the filters, and the feature maps of each layer for an image (1, C, H, W), by name."""
    maps = enumerate(feature_maps(network, image))
    grids = {f"maps-{index}-{layer}": feature_map_grid(values) for index, (layer, values) in maps}
    return {"filters": filters(network)} | grids


def write_figures(folder: Path, name: str, images: Mapping[str, Image.Image]) -> None:
    """Write images as PNG files called `name`-KEY.png into a folder, which is made."""
    with report_write_errors(folder, "figures"):
        folder.mkdir(parents=True, exist_ok=True)
        for key, image in images.items():
            image.save(folder / f"{name}-{key}.png")
