"""What a network has learnt and what it sees, as pictures."""

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from cnn import UserError

ENLARGED = 8
GAP = 1
BLUE, PAPER, ORANGE = (
    torch.tensor(color) / 255 for color in ((33, 102, 200), (247, 247, 247), (222, 99, 14))
)


def first_convolution(network: nn.Module) -> nn.Conv2d:
    """The convolution that looks at the picture itself."""
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def filters(network: nn.Module) -> Image.Image:
    """Every filter of the first convolution on one sheet, enlarged without smoothing.

    Three-channel filters are shown in colour, each stretched about mid-grey; others as
    blue for negative, white for zero and orange for positive weights on one common scale.
    """
    weights = first_convolution(network).weight.detach().float().cpu()
    if weights.shape[1] == 3:
        largest = weights.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
        tiles = (weights / largest + 1) / 2
    else:
        tiles = _diverging(weights.mean(1))
    return _sheet(tiles)


def _diverging(values: Tensor) -> Tensor:
    """(N, H, W) about zero -> colours (N, 3, H, W), one scale for all."""
    values = (values / values.abs().max().clamp(min=1e-12)).unsqueeze(1)
    ends = torch.where(values < 0, BLUE.view(1, 3, 1, 1), ORANGE.view(1, 3, 1, 1))
    return torch.lerp(PAPER.view(1, 3, 1, 1).expand_as(ends), ends, values.abs().expand_as(ends))


@torch.inference_mode()
def feature_maps(network: nn.Sequential, image: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What each stage makes of one picture (1, C, H, W): its name and its maps (C, H, W).

    Stages that answer with numbers instead of maps are left out.
    """
    for name, stage in network.named_children():
        image = stage(image)
        if image.dim() == 4:
            yield name, image[0].float().cpu()


def maps_sheet(maps: Tensor) -> Image.Image:
    """Maps (C, H, W) on one sheet, from black for the lowest value of the stage to white."""
    low, high = maps.min(), maps.max()
    shade = (maps - low) / (high - low).clamp(min=1e-12)
    return _sheet(shade.unsqueeze(1).expand(-1, 3, -1, -1))


def _sheet(tiles: Tensor) -> Image.Image:
    """Colours (N, 3, H, W) in [0, 1] -> one picture, nearly square, a gap between the tiles."""
    count, _, height, width = tiles.shape
    columns = max(1, round((count * height / width) ** 0.5))
    rows = -(-count // columns)
    sheet = torch.full((3, rows * (height + GAP) + GAP, columns * (width + GAP) + GAP), 0.5)
    for number, tile in enumerate(tiles):
        top = GAP + number // columns * (height + GAP)
        left = GAP + number % columns * (width + GAP)
        sheet[:, top : top + height, left : left + width] = tile
    pixels = sheet.mul(255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    return picture.resize(
        (picture.width * ENLARGED, picture.height * ENLARGED), Image.Resampling.NEAREST
    )


def write_figures(folder: Path, name: str, network: nn.Sequential, image: Tensor) -> None:
    """Write the filters, and the feature maps of each stage, as PNG files into the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        filters(network).save(folder / f"{name}-filters.png")
        for number, (stage, maps) in enumerate(feature_maps(network, image)):
            maps_sheet(maps).save(folder / f"{name}-maps-{number}-{stage}.png")
    except OSError as fault:
        raise UserError(
            f"The figures could not be written to {str(folder)!r} ({fault.strerror}). "
            "Choose another folder."
        ) from fault
