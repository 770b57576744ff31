"""Filters and maps become pictures whose pixels can be told beforehand."""

import pytest
import torch
from torch import nn

from cnn import UserError, models, visualization
from cnn.datasets import DATASETS
from cnn.models import MODELS
from cnn.visualization import ENLARGED, GAP

BESIDE_GAP = GAP * ENLARGED


def _network(weights: torch.Tensor) -> nn.Sequential:
    """One convolution with the weights given, then ReLU and a layer of numbers."""
    convolution = nn.Conv2d(weights.shape[1], len(weights), weights.shape[-1], bias=False)
    convolution.weight = nn.Parameter(weights)
    return nn.Sequential(
        *(convolution, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)),
    )


def test_a_filter_made_by_hand_gives_the_map_worked_out_by_hand():
    """The difference of neighbours, on a picture that rises by columns: 1 4 9 16."""
    edge = torch.tensor([[[[-1.0, 1.0], [0.0, 0.0]]]])
    image = torch.tensor([1.0, 4.0, 9.0, 16.0]).expand(1, 1, 3, 4)
    maps = dict(visualization.feature_maps(_network(edge), image))
    assert maps["0"].tolist() == [[[3, 5, 7], [3, 5, 7]]]
    assert torch.equal(maps["1"], maps["0"]), "ReLU leaves what is positive"


def test_stages_that_answer_with_numbers_have_no_maps():
    image = torch.ones(1, 1, 3, 4)
    assert list(dict(visualization.feature_maps(_network(torch.ones(1, 1, 2, 2)), image))) == [
        "0",
        "1",
    ]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize("name", MODELS)
def test_every_networks_stages_can_be_looked_at(name, dataset):
    torch.manual_seed(0)
    network = models.build(name, dataset).eval()
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    maps = dict(visualization.feature_maps(network, image))
    stages = [stage for stage, _ in network.named_children()]
    assert list(maps) == stages[: len(maps)] and len(maps) >= 3
    assert all(pixels.dim() == 3 and pixels.dtype == torch.float32 for pixels in maps.values())
    assert visualization.filters(network).mode == "RGB"


def test_maps_run_from_black_for_the_lowest_to_white_for_the_highest():
    sheet = visualization.maps_sheet(torch.tensor([[[-2.0, 0.0], [1.0, 2.0]]]))
    side = 2 + 2 * GAP
    assert sheet.size == (side * ENLARGED, side * ENLARGED)
    shades = [
        sheet.getpixel((BESIDE_GAP + column * ENLARGED, BESIDE_GAP + row * ENLARGED))
        for row in (0, 1)
        for column in (0, 1)
    ]
    assert shades == [(0, 0, 0), (128, 128, 128), (191, 191, 191), (255, 255, 255)]


def test_all_maps_of_a_stage_share_one_scale():
    sheet = visualization.maps_sheet(torch.stack([torch.full((4, 4), level) for level in (0.0, 1)]))
    assert sheet.getpixel((BESIDE_GAP, BESIDE_GAP)) == (0, 0, 0)
    assert (255, 255, 255) in {colour for _, colour in sheet.getcolors()}


def test_a_stage_that_is_the_same_everywhere_is_black():
    sheet = visualization.maps_sheet(torch.full((1, 3, 3), 7.0))
    assert sheet.getpixel((BESIDE_GAP, BESIDE_GAP)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("count", "side", "columns", "rows"),
    [(1, 5, 1, 1), (32, 28, 6, 6), (64, 3, 8, 8), (5, 4, 2, 3)],
)
def test_a_sheet_is_nearly_square_with_a_gap_around_every_tile(count, side, columns, rows):
    sheet = visualization.maps_sheet(torch.rand(count, side, side))
    expected = [(number * (side + GAP) + GAP) * ENLARGED for number in (columns, rows)]
    assert list(sheet.size) == expected


def test_filters_of_one_channel_are_blue_below_zero_white_at_it_and_orange_above():
    weights = torch.tensor([[[[-2.0, 0.0], [1.0, 2.0]]]])
    sheet = visualization.filters(_network(weights))
    negative, zero, half, positive = (
        sheet.getpixel((BESIDE_GAP + column * ENLARGED, BESIDE_GAP + row * ENLARGED))
        for row in (0, 1)
        for column in (0, 1)
    )
    assert zero == (247, 247, 247)
    assert negative[2] > negative[0], "blue"
    assert positive[0] > positive[2], "orange"
    assert all(min(z, p) < h < max(z, p) for z, h, p in zip(zero, half, positive, strict=True)), (
        "half way"
    )


def test_filters_of_three_channels_are_in_colour_about_mid_grey():
    weights = torch.zeros(1, 3, 1, 2)
    weights[0, 0, 0, 0] = 0.5
    weights[0, 2, 0, 0] = -0.5
    convolution = nn.Conv2d(3, 1, (1, 2), bias=False)
    convolution.weight = nn.Parameter(weights)
    sheet = visualization.filters(nn.Sequential(convolution))
    assert sheet.getpixel((BESIDE_GAP, BESIDE_GAP)) == (255, 128, 0)
    assert sheet.getpixel((BESIDE_GAP + ENLARGED, BESIDE_GAP)) == (128, 128, 128)


def test_looking_changes_no_weight():
    torch.manual_seed(0)
    network = models.build("two-conv", DATASETS["mnist"]).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    visualization.filters(network)
    list(visualization.feature_maps(network, torch.rand(1, 1, 28, 28)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_figures_are_written_one_file_for_the_filters_and_one_a_stage(tmp_path):
    network, image = _network(torch.ones(1, 1, 2, 2)), torch.rand(1, 1, 3, 4)
    visualization.write_figures(tmp_path / "new" / "folder", "seven", network, image)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "seven-filters.png",
        "seven-maps-0-0.png",
        "seven-maps-1-1.png",
    ]


def test_figures_that_cannot_be_written_say_where(tmp_path):
    (tmp_path / "taken").touch()
    network, image = _network(torch.ones(1, 1, 2, 2)), torch.rand(1, 1, 3, 4)
    with pytest.raises(UserError, match="could not be written to .*taken"):
        visualization.write_figures(tmp_path / "taken", "seven", network, image)
