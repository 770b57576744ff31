"""What a network has learnt and what it sees, as pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional

from cnn import UserError
from cnn.interpret.layers import Box, feature_maps
from cnn.models.layers import BLOCKS
from cnn.plots.colormaps import (
    DIVERGING,
    GREY,
    SEQUENTIAL,
    WHITE,
    diverging,
    interpolate,
    sequential,
)

MAX_WIDTH = 960  # pixels, of a sheet
ENLARGED = 448  # pixels, of one picture shown by itself
THUMBNAIL = 56  # pixels, of a map in a row of first maps
GAP = 8
CAPTION = 22
LEGEND_HEIGHT = 30


@dataclass(frozen=True)
class GridLayout:
    """Where each of `count` tiles of `height` x `width` pixels lies on a sheet."""

    count: int
    height: int
    width: int

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return 8 if self.count <= 32 else 12 if self.count <= 96 else 16

    @property
    def enlarged(self) -> int:
        """By how much each pixel of a tile is enlarged."""
        return max(1, (MAX_WIDTH // self.columns - GAP) // self.width)

    @property
    def pitch(self) -> tuple[int, int]:
        """Pixels from a tile to the next one in its row and in its column."""
        return self.width * self.enlarged + GAP, self.height * self.enlarged + CAPTION

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet in pixels."""
        rows = -(-self.count // self.columns)
        return self.columns * self.pitch[0] - GAP, rows * self.pitch[1] + LEGEND_HEIGHT

    def corner(self, number: int) -> tuple[int, int]:
        """The left upper pixel (x, y) of a tile."""
        row, column = divmod(number, self.columns)
        return column * self.pitch[0], row * self.pitch[1]

    def number_at(self, x: int, y: int) -> int | None:
        """The tile at a pixel, its caption included; None where there is no tile."""
        column, row = x // self.pitch[0], y // self.pitch[1]
        number = row * self.columns + column
        inside = 0 <= column < self.columns and row >= 0 and number < self.count
        return number if inside else None


def first_conv(network: nn.Module) -> nn.Conv2d:
    """The convolution that looks at the picture itself."""
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def filters(network: nn.Module) -> Image.Image:
    """Every filter of the first convolution on one sheet, numbered, enlarged without smoothing.

    Three-channel filters are shown in colour, each stretched about mid-grey; others on the
    scale about zero, one for all of them.
    """
    weights = first_conv(network).weight.detach().float().cpu()
    tiles = torch.stack([_filter_colors(weight, weights.abs().max()) for weight in weights])
    if weights.shape[1] == 3:
        return _grid(tiles, "grey is zero, each filter stretched by itself")
    return _grid(tiles, DIVERGING, -weights.abs().max().item(), weights.abs().max().item())


def _filter_colors(weights: Tensor, largest: Tensor) -> Tensor:
    """The colours (k, k, 3) of a filter (C, k, k)."""
    if weights.shape[0] == 3:
        stretched = weights / weights.abs().max().clamp(min=1e-12)
        return ((stretched + 1) * 127.5).round().byte().permute(1, 2, 0)
    return diverging(weights.mean(0), largest.item())


def feature_map_grid(maps: Tensor, each: bool = False) -> Image.Image:
    """Maps (C, H, W) on one sheet, numbered, from black for the lowest value.

    One scale serves all of them, or `each` map has its own.
    """
    if each:
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        shares = (maps - low) / (high - low).clamp(min=1e-12)
        words = "each map from its own least value to its own greatest"
        return _grid(sequential(shares, 0, 1), words)
    low, high = maps.min().item(), maps.max().item()
    return _grid(sequential(maps, low, high), SEQUENTIAL, low, high)


def first_maps(network: nn.Sequential, image: Tensor, count: int = 8) -> dict[str, Image.Image]:
    """The first maps of each activation in a row, by the stage's name, for a quick look."""
    stages = dict(network.named_children())
    return {
        name: _row(maps[:count])
        for name, maps in feature_maps(network, image)
        if isinstance(stages[name], (nn.ReLU, nn.GELU, *BLOCKS))
    }


def _row(maps: Tensor) -> Image.Image:
    scale = max(1, THUMBNAIL // maps.shape[1])
    colors = sequential(maps, maps.min().item(), maps.max().item())
    colors = functional.pad(colors, (0, 1), value=255)  # nothing shows through but the gaps
    tiles = colors.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    apart = functional.pad(tiles, (0, 0, 0, GAP))
    return Image.fromarray(torch.cat([*apart], 1)[:, :-GAP].contiguous().numpy())


def _grid(tiles: Tensor, scale: str | tuple, low: float = 0, high: float = 0) -> Image.Image:
    """Colours (N, H, W, 3) -> one picture with transparent gaps, its scale at the foot."""
    layout = GridLayout(*tiles.shape[:3])
    canvas = np.zeros((*layout.size[::-1], 4), np.uint8)
    enlarged = tiles.repeat_interleave(layout.enlarged, 1).repeat_interleave(layout.enlarged, 2)
    height, width = enlarged.shape[1:3]
    for number, tile in enumerate(enlarged.numpy()):
        x, y = layout.corner(number)
        canvas[y : y + height, x : x + width] = 255
        canvas[y : y + height, x : x + width, :3] = tile
    sheet = Image.fromarray(canvas)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number in range(layout.count):
        x, y = layout.corner(number)
        pen.text((x + width / 2, y + height + 1), str(number), GREY, font, "ma")
    _print_scale(sheet, scale, low, high)
    return sheet


def _print_scale(sheet: Image.Image, scale: str | tuple, low: float, high: float) -> None:
    pen, font, middle = ImageDraw.Draw(sheet), ImageFont.load_default(15), sheet.height - 12
    if isinstance(scale, str):
        pen.text((0, middle), scale, GREY, font, "lm")
        return
    pen.text((0, middle), f"{low:.2f}", GREY, font, "lm")
    start = round(pen.textlength(f"{low:.2f}", font)) + 10
    ramp = interpolate(scale, torch.linspace(0, 1, 160)).expand(12, -1, -1)
    sheet.paste(Image.fromarray(ramp.numpy()), (start, middle - 6))
    pen.text((start + 170, middle), f"{high:.2f}", GREY, font, "lm")


def enlarged_filter(weights: Tensor) -> Image.Image:
    """One filter (C, k, k) by itself: in colour for three channels, else about zero."""
    return _enlarge(_filter_colors(weights, weights.abs().max()))


def enlarged_map(values: Tensor, frame: Box | None = None) -> Image.Image:
    """One map (H, W) by itself, from black for its least value."""
    return _enlarge(sequential(values, values.min().item(), values.max().item()), frame)


def enlarged_image(image: Tensor, frame: Box | None = None) -> Image.Image:
    """A picture (1 or 3, H, W) in [0, 1], enlarged."""
    return _enlarge(_pixels(image), frame)


def enlarged_inputs(inputs: Tensor, channel: int, frame: Box) -> Image.Image:
    """What enters a convolution (C, H, W): in colour for three channels, else one of them."""
    if inputs.shape[0] != 3:
        return enlarged_map(inputs[channel], frame)
    low, high = inputs.min(), inputs.max()
    return _enlarge(_pixels((inputs - low) / (high - low).clamp(min=1e-12)), frame)


def overlay(image: Tensor, counted: Tensor, opacity: float) -> Image.Image:
    """Which pixels counted, over a grey picture (C, H, W) in [0, 1].

    `counted` is (H, W): orange where it spoke for the class and blue where against, the
    stronger the more. `opacity` in [0, 1] is the share of colour where it counted most; the
    picture itself is dimmed by half as much.
    """
    ground = _pixels(image.mean(0, keepdim=True)) * (1 - opacity / 2)
    most = counted.abs().quantile(0.995).clamp(min=1e-12)
    share = ((counted.abs() / most).clamp(max=1) * opacity).unsqueeze(-1)
    colors = diverging(counted.sign(), 2).float()
    return _enlarge(torch.lerp(ground, colors, share).round().byte())


def enlarged_scale(pixels: int) -> int:
    """By how much a picture of so many pixels is enlarged when it is shown by itself."""
    return max(1, ENLARGED // pixels)


def _pixels(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)


def _enlarge(colors: Tensor, frame: Box | None = None) -> Image.Image:
    picture = Image.fromarray(colors.contiguous().numpy())
    scale = enlarged_scale(max(picture.size))
    size = picture.width * scale, picture.height * scale
    picture = picture.resize(size, Image.Resampling.NEAREST)
    if frame:
        top, left, height, width = (side * scale for side in frame)
        pen = ImageDraw.Draw(picture)
        pen.rectangle((left - 3, top - 3, left + width + 2, top + height + 2), None, (0, 0, 0), 5)
        pen.rectangle((left - 2, top - 2, left + width + 1, top + height + 1), None, WHITE, 3)
    return picture


def figures(network: nn.Sequential, image: Tensor) -> dict[str, Image.Image]:
    """The filters and the maps of each stage for one picture (1, C, H, W), by their names."""
    maps = enumerate(feature_maps(network, image))
    sheets = {f"maps-{number}-{stage}": feature_map_grid(found) for number, (stage, found) in maps}
    return {"filters": filters(network)} | sheets


def write_figures(folder: Path, name: str, pictures: Mapping[str, Image.Image]) -> None:
    """Write pictures by their names as PNG files into the folder, each name after `name`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for what, picture in pictures.items():
            picture.save(folder / f"{name}-{what}.png")
    except OSError as fault:
        raise UserError(
            f"The figures could not be written to {str(folder)!r} ({fault.strerror}). "
            "Choose another folder."
        ) from fault
