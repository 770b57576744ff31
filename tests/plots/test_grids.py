"""Grids of filters and feature maps have the pixels that their values demand."""

import pytest
import torch
from PIL import Image
from torch import nn

from cnn import UserError
from cnn.data.datasets import DATASETS
from cnn.interpret.layers import feature_maps
from cnn.models import architectures
from cnn.models.architectures import MODELS
from cnn.plots import grids
from cnn.plots.grids import GridLayout

GROUND, BRIGHT = (0, 0, 0, 255), (255, 250, 242, 255)


def _tiles(grid, count, height, width):
    """The colours of each tile of a grid, pixel by pixel, as they were before enlarging."""
    layout = GridLayout(count, height, width)
    half = layout.enlarged // 2
    return [
        [
            grid.getpixel((left + column * layout.enlarged + half, top + row * layout.enlarged))
            for row in range(height)
            for column in range(width)
        ]
        for left, top in map(layout.corner, range(count))
    ]


def _network(weights: torch.Tensor) -> nn.Sequential:
    """One convolution with the weights given, then ReLU and a layer of numbers."""
    convolution = nn.Conv2d(weights.shape[1], len(weights), weights.shape[-1], bias=False)
    convolution.weight = nn.Parameter(weights)
    return nn.Sequential(
        *(convolution, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)),
    )


def test_a_filter_made_by_hand_gives_the_map_computed_by_hand():
    """The difference of neighbors, on an image that rises by columns: 1 4 9 16."""
    edge = torch.tensor([[[[-1.0, 1.0], [0.0, 0.0]]]])
    image = torch.tensor([1.0, 4.0, 9.0, 16.0]).expand(1, 1, 3, 4)
    maps = dict(feature_maps(_network(edge), image))
    assert maps["0"].tolist() == [[[3, 5, 7], [3, 5, 7]]]
    assert torch.equal(maps["1"], maps["0"]), "ReLU leaves what is positive"


def test_layers_without_maps_are_left_out():
    image = torch.ones(1, 1, 3, 4)
    assert list(dict(feature_maps(_network(torch.ones(1, 1, 2, 2)), image))) == [
        "0",
        "1",
    ]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize("name", MODELS)
def test_the_feature_maps_of_every_network_can_be_drawn(name, dataset):
    torch.manual_seed(0)
    network = architectures.build(name, dataset).eval()
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    maps = dict(feature_maps(network, image))
    stages = [stage for stage, _ in network.named_children()]
    assert list(maps) == stages[: len(maps)] and len(maps) >= 3
    assert all(pixels.dim() == 3 and pixels.dtype == torch.float32 for pixels in maps.values())
    count, _, height, width = grids.first_conv(network).weight.shape
    assert grids.filters(network).size == GridLayout(count, height, width).size


def test_maps_run_from_black_for_the_lowest_to_nearly_white_for_the_highest():
    grid = grids.feature_map_grid(torch.tensor([[[-2.0, 0.0], [1.0, 2.0]]]))
    (shades,) = _tiles(grid, 1, 2, 2)
    assert (shades[0], shades[-1]) == (GROUND, BRIGHT)
    assert [sum(shade) for shade in shades] == sorted(sum(shade) for shade in shades)


def test_all_maps_of_a_layer_share_one_scale_or_have_one_each():
    maps = torch.tensor([[[0.0, 1.0]], [[0.0, 10.0]]])
    together = _tiles(grids.feature_map_grid(maps), 2, 1, 2)
    assert together[0][1] != together[1][1] == BRIGHT
    assert _tiles(grids.feature_map_grid(maps, each=True), 2, 1, 2) == [[GROUND, BRIGHT]] * 2


def test_constant_maps_are_black():
    (shades,) = _tiles(grids.feature_map_grid(torch.full((1, 3, 3), 7.0)), 1, 3, 3)
    assert set(shades) == {GROUND}


@pytest.mark.parametrize(
    ("count", "side", "columns", "rows"),
    [(1, 5, 8, 1), (32, 28, 8, 4), (64, 3, 12, 6), (96, 7, 12, 8), (256, 15, 16, 16)],
)
def test_a_grid_has_the_size_of_its_layout_and_transparent_gaps(count, side, columns, rows):
    grid = grids.feature_map_grid(torch.rand(count, side, side))
    layout = GridLayout(count, side, side)
    tile = side * layout.enlarged
    assert grid.size == layout.size
    assert grid.width == columns * (tile + grids.GAP) - grids.GAP
    assert grid.height == rows * (tile + grids.CAPTION) + grids.LEGEND_HEIGHT
    assert grid.width <= grids.MAX_WIDTH
    assert grid.getpixel((tile, 0))[3] == 0


def test_filters_of_one_channel_are_blue_below_zero_white_at_it_and_orange_above():
    weights = torch.tensor([[[[-2.0, 0.0], [1.0, 2.0]]]])
    grid = grids.filters(_network(weights))
    ((negative, zero, half, positive),) = _tiles(grid, 1, 2, 2)
    assert zero == (247, 247, 247, 255)
    assert negative[2] > negative[0], "blue"
    assert positive[0] > positive[2], "orange"
    assert sum(positive) < sum(half) < sum(zero), "half way"


def test_each_filter_is_stretched_to_its_own_largest_weight():
    weights = torch.tensor([[[[-2.0, 2.0]]], [[[-0.01, 0.01]]]])
    large, small = _tiles(grids.filters(_network(weights)), 2, 1, 2)
    assert large == small


def test_filters_of_three_channels_are_in_color_about_mid_grey():
    weights = torch.zeros(1, 3, 1, 2)
    weights[0, 0, 0, 0] = 0.5
    weights[0, 2, 0, 0] = -0.5
    convolution = nn.Conv2d(3, 1, (1, 2), bias=False)
    convolution.weight = nn.Parameter(weights)
    grid = grids.filters(nn.Sequential(convolution))
    assert _tiles(grid, 1, 1, 2) == [[(255, 128, 0, 255), (128, 128, 128, 255)]]


def test_drawing_changes_no_weight():
    torch.manual_seed(0)
    network = architectures.build("two-conv", DATASETS["mnist"]).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    grids.filters(network)
    list(feature_maps(network, torch.rand(1, 1, 28, 28)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_an_image_is_enlarged_without_smoothing_with_a_box():
    values = torch.zeros(1, 7, 7)
    values[0, 6, 6] = 1
    image = grids.enlarged_image(values, (2, 3, 1, 1))
    scale = image.width // 7
    assert image.size == (7 * scale, 7 * scale)
    assert image.getpixel((7 * scale - 1, 7 * scale - 1)) == (255, 255, 255)
    assert image.getpixel((3 * scale - 1, 2 * scale + scale // 2)) == (255, 255, 255)
    assert image.getpixel((3 * scale + scale // 2, 2 * scale + scale // 2)) == (0, 0, 0)


def test_a_box_may_reach_over_the_edge():
    image = grids.enlarged_image(torch.zeros(3, 4, 4), (-1, -1, 3, 3))
    assert image.size == (grids.ENLARGED, grids.ENLARGED)


def test_an_attribution_is_colored_by_its_sign_and_the_rest_stays_grey():
    image = torch.full((3, 1, 3), 0.5)
    drawn = grids.overlay(image, torch.tensor([[-2.0, 0.0, 2.0]]), 1)
    scale = drawn.width // 3
    negative, zero, positive = (drawn.getpixel((column * scale, 0)) for column in range(3))
    assert negative[2] > negative[0]
    assert zero == (64, 64, 64)
    assert positive[0] > positive[2]
    clear = grids.overlay(image, torch.tensor([[-2.0, 0.0, 2.0]]), 0)
    assert clear.getcolors() == [(clear.width * clear.height, (128, 128, 128))]


def test_figures_are_the_filters_and_the_maps_of_each_layer():
    figures = grids.figures(_network(torch.ones(1, 1, 2, 2)), torch.rand(1, 1, 3, 4))
    assert list(figures) == ["filters", "maps-0-0", "maps-1-1"]


def test_figures_are_written_to_a_new_folder(tmp_path):
    images = {name: Image.new("RGB", (2, 2)) for name in ("filters", "attribution")}
    grids.write_figures(tmp_path / "new" / "folder", "seven", images)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "seven-attribution.png",
        "seven-filters.png",
    ]


def test_figures_that_cannot_be_written_are_an_error(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match="could not be written to .*taken"):
        grids.write_figures(tmp_path / "taken", "seven", {"a": Image.new("L", (1, 1))})
