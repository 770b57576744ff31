"""A network's arithmetic, told one number at a time, is what the network computes."""

import math

import pytest
import torch
from torch import nn

from cnn.data.datasets import DATASETS
from cnn.data.drawings import digit_from_strokes
from cnn.interpret import arithmetic
from cnn.interpret.layers import flat_layers, summarize
from cnn.models import architectures
from cnn.models.architectures import MODELS


def _edge_finder() -> nn.Sequential:
    """The difference of neighbours, with a bias of one half, then ReLU and pooling."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(1, 1, 3, padding=1))
    network.add_module("relu1", nn.ReLU())
    network.add_module("pool1", nn.MaxPool2d(2))
    weights = torch.tensor([[0.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    network.conv1.weight = nn.Parameter(weights.view(1, 1, 3, 3))
    network.conv1.bias = nn.Parameter(torch.tensor([0.5]))
    return network.eval()


PICTURE = torch.tensor([1.0, 4.0, 9.0, 16.0]).expand(1, 1, 4, 4)


def test_patch_times_filter_is_what_one_works_out_by_hand():
    found = arithmetic.break_down_conv(_edge_finder(), PICTURE, "conv1", 0, 1, 2)
    (product,) = found.strongest
    assert product.patch.tolist() == [[4, 9, 16]] * 3
    assert product.sum == 9 - 4
    assert (found.rest, found.bias, found.total) == (0, 0.5, 5.5)
    assert found.map[1].tolist() == [1.5, 3.5, 5.5, 7.5]
    assert found.frame == (0, 1, 3, 3)


@pytest.mark.parametrize("name", ["two-conv-dropout", "airbench-quick", "three-conv-norm"])
def test_a_place_on_the_inputs_leads_to_the_number_whose_patch_it_is_the_middle_of(name):
    network = architectures.build(name, DATASETS["cifar10"]).eval()
    stage = arithmetic.producing_conv(network)
    start = arithmetic.break_down_conv(network, torch.rand(1, 3, 32, 32), stage, 0, 6, 7)
    top, left, height, width = start.frame
    assert start.over(top + height // 2, left + width // 2) == (6, 7)


def test_over_the_edge_of_the_picture_there_are_zeros():
    found = arithmetic.break_down_conv(_edge_finder(), PICTURE, "conv1", 0, 0, 0)
    assert found.strongest[0].patch.tolist() == [[0, 0, 0], [0, 1, 4], [0, 1, 4]]
    assert found.frame == (-1, -1, 3, 3)


def test_without_a_place_the_greatest_value_is_taken_and_places_stay_on_the_map():
    network = _edge_finder()
    assert arithmetic.break_down_conv(network, PICTURE, "conv1").total == 7.5
    outside = arithmetic.break_down_conv(network, PICTURE, "conv1", 0, 99, -5)
    assert (outside.row, outside.column) == (3, 0)
    assert arithmetic.break_down_conv(network, PICTURE, "conv1", 99).number == 0


@pytest.mark.parametrize("name", MODELS)
def test_in_every_network_the_parts_make_the_number(name):
    torch.manual_seed(0)
    dataset = DATASETS["cifar10"]
    network = architectures.build(name, dataset).eval()
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    for stage, module in flat_layers(network):
        if not isinstance(module, nn.Conv2d):
            continue
        found = arithmetic.break_down_conv(network, image, stage, 3, 4, 5)
        parts = sum(product.sum for product in found.strongest) + found.rest + found.bias
        assert parts == pytest.approx(found.map[found.row, found.column].item(), abs=1e-4)
        assert found.total == pytest.approx(parts, abs=1e-4)


def test_maps_belong_to_the_last_convolution_before_them():
    network = architectures.build("three-conv", DATASETS["mnist"])
    assert arithmetic.producing_conv(network, "conv1") == "conv1"
    assert arithmetic.producing_conv(network, "pool2") == "conv2"
    assert arithmetic.producing_conv(network, "normalize") is None
    whitened = architectures.build("airbench", DATASETS["cifar10"])
    assert arithmetic.producing_conv(whitened, "gelu") == "whiten"
    assert arithmetic.producing_conv(whitened, "block1") == "block1.4"
    assert arithmetic.producing_conv(whitened, "pool") == "block3.4"
    assert arithmetic.producing_conv(whitened) == "whiten"


def test_maps_of_two_ways_added_together_are_of_no_single_convolution():
    residual = architectures.build("resnet-20", DATASETS["cifar10"])
    assert arithmetic.producing_conv(residual, "relu1") == "conv1"
    assert arithmetic.producing_conv(residual, "block2") is None


def test_the_stages_shapes_and_costs_are_those_one_counts_by_hand():
    network = architectures.build("two-conv", DATASETS["mnist"]).eval()
    stages = {s.name: s for s in summarize(network, torch.zeros(1, 1, 28, 28))}
    assert stages["conv1"].shape == (32, 28, 28)
    assert stages["conv1"].parameters == 32 * (9 + 1)
    assert stages["conv1"].multiply_adds == 32 * 28 * 28 * 9
    assert stages["dense1"].multiply_adds == 32 * 7 * 7 * 10
    assert stages["relu1"].multiply_adds == stages["pool1"].parameters == 0


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize("name", MODELS)
def test_every_networks_stages_hold_all_its_parameters(name, dataset):
    network = architectures.build(name, dataset).eval()
    image = torch.zeros(1, dataset.channels, dataset.size, dataset.size)
    stages = summarize(network, image)
    assert sum(stage.parameters for stage in stages) == architectures.count_parameters(network)
    assert stages[-1].shape == (len(dataset.classes),)


def test_softmax_by_hand_is_torchs():
    logits = (3.0, -1.0, 0.5, 900.0, 899.0)
    found = arithmetic.softmax(logits, 2.0)
    expected = (torch.tensor(logits) / 2).softmax(0).tolist()
    assert found.probabilities == pytest.approx(expected, abs=1e-6)
    assert found.sum == pytest.approx(sum(found.exponentials))
    assert found.margin == pytest.approx(expected[3] - expected[4], abs=1e-6)


def test_entropy_is_zero_for_certainty_and_greatest_for_no_idea():
    assert arithmetic.softmax((5000.0, 0.0), 1).entropy == 0
    assert arithmetic.softmax((1.0,) * 8, 1).entropy == pytest.approx(math.log2(8))


def test_a_small_drawing_in_a_corner_is_fitted_and_then_moved_by_its_mass():
    drawn = [[[at / 10, y] for at in (1, 2)] for y in (0.1, 0.2)] + [[[0.1, 0.1], [0.1, 0.2]]]
    found = arithmetic.centering(drawn)
    assert torch.equal(found.centred, digit_from_strokes(drawn)[0, 0])
    assert found.drawn[10:].max() == 0 and found.drawn[:10].max() == 1
    inked = found.fitted.nonzero()
    assert inked.amin(0).tolist() == [4, 4] and inked.amax(0).tolist() == [23, 23]
    moved = [round(13.5 - at) for at in found.mass]
    assert torch.equal(found.fitted.roll(moved, (0, 1)), found.centred)


def test_nothing_drawn_stays_nothing():
    found = arithmetic.centering([])
    assert not any(picture.any() for picture in (found.drawn, found.fitted, found.centred))
