"""One activation, computed by hand, is what the network computes."""

import math

import pytest
import torch
from torch import nn

from cnn.data.datasets import DATASETS
from cnn.data.drawings import digit_from_strokes
from cnn.interpret import arithmetic
from cnn.interpret.layers import activation_of, flat_layers, summarize
from cnn.models import architectures
from cnn.models.architectures import MODELS


def _edge_detector() -> nn.Sequential:
    """The difference of neighbors plus one half, then ReLU and pooling."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(1, 1, 3, padding=1))
    network.add_module("relu1", nn.ReLU())
    network.add_module("pool1", nn.MaxPool2d(2))
    weights = torch.tensor([[0.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    network.conv1.weight = nn.Parameter(weights.view(1, 1, 3, 3))
    network.conv1.bias = nn.Parameter(torch.tensor([0.5]))
    return network.eval()


IMAGE = torch.tensor([1.0, 4.0, 9.0, 16.0]).expand(1, 1, 4, 4)


def test_a_patch_times_a_filter_computed_by_hand():
    conv = arithmetic.break_down_conv(_edge_detector(), IMAGE, "conv1", 0, 1, 2)
    assert conv.patch.tolist() == [[[4, 9, 16]] * 3]
    assert (conv.bias, conv.total) == (0.5, 9 - 4 + 0.5)
    assert conv.map[1].tolist() == [1.5, 3.5, 5.5, 7.5]
    assert (conv.stride, conv.padding) == (1, 1)


def test_a_patch_over_the_edge_holds_zeros():
    conv = arithmetic.break_down_conv(_edge_detector(), IMAGE, "conv1", 0, 0, 0)
    assert conv.patch.tolist() == [[[0, 0, 0], [0, 1, 4], [0, 1, 4]]]


def test_without_a_position_it_is_the_greatest_value_and_positions_stay_on_the_map():
    network = _edge_detector()
    assert arithmetic.break_down_conv(network, IMAGE, "conv1").total == 7.5
    outside = arithmetic.break_down_conv(network, IMAGE, "conv1", 0, 99, -5)
    assert (outside.row, outside.column) == (3, 0)
    assert arithmetic.break_down_conv(network, IMAGE, "conv1", 99).channel == 0


def test_without_a_channel_it_is_the_map_with_the_greatest_value():
    network = architectures.build("two-conv", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    _, _, _, maps = activation_of(network, image, "conv1")
    start = arithmetic.break_down_conv(network, image, "conv1")
    assert start.total == pytest.approx(maps.max().item(), abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_patch_times_filter_and_bias_are_the_activation(name):
    torch.manual_seed(0)
    dataset = DATASETS["cifar10"]
    network = architectures.build(name, dataset).eval()
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    for layer, module in flat_layers(network):
        if not isinstance(module, nn.Conv2d):
            continue
        conv = arithmetic.break_down_conv(network, image, layer, 3, 4, 5)
        total = (conv.patch * conv.filter).sum().item() + conv.bias
        assert total == pytest.approx(conv.map[conv.row, conv.column].item(), abs=1e-4)
        assert conv.total == pytest.approx(total, abs=1e-4)


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


def test_maps_of_two_added_paths_belong_to_no_convolution():
    residual = architectures.build("resnet-20", DATASETS["cifar10"])
    assert arithmetic.producing_conv(residual, "relu1") == "conv1"
    assert arithmetic.producing_conv(residual, "block2") is None


def test_the_layers_after_a_convolution_that_keep_maps_apart_end_with_the_next_that_mixes_them():
    def names(model, conv):
        network = architectures.build(model, DATASETS["cifar10"])
        return [name for name, _ in arithmetic.map_layers_after(network, conv)]

    assert names("two-conv", "conv1") == ["relu1", "pool1"]
    assert names("two-conv", "conv2") == ["relu2", "pool2"]
    assert names("resnet-20", "conv1") == ["norm1", "relu1"]
    assert names("airbench", "block1.0") == ["block1.1", "block1.2", "block1.3"]


def test_shapes_and_costs_of_layers_match_those_counted_by_hand():
    network = architectures.build("two-conv", DATASETS["mnist"]).eval()
    summaries = {s.name: s for s in summarize(network, torch.zeros(1, 1, 28, 28))}
    assert summaries["conv1"].shape == (32, 28, 28)
    assert summaries["conv1"].parameters == 32 * (9 + 1)
    assert summaries["conv1"].multiply_adds == 32 * 28 * 28 * 9
    assert summaries["dense1"].multiply_adds == 32 * 7 * 7 * 10
    assert summaries["relu1"].multiply_adds == summaries["pool1"].parameters == 0


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize("name", MODELS)
def test_the_layers_of_every_network_hold_all_its_parameters(name, dataset):
    network = architectures.build(name, dataset).eval()
    image = torch.zeros(1, dataset.channels, dataset.size, dataset.size)
    summaries = summarize(network, image)
    assert sum(stage.parameters for stage in summaries) == architectures.count_parameters(network)
    assert summaries[-1].shape == (len(dataset.classes),)


def test_softmax_by_hand_is_torchs():
    logits = (3.0, -1.0, 0.5, 900.0, 899.0)
    conv = arithmetic.softmax(logits, 2.0)
    expected = (torch.tensor(logits) / 2).softmax(0).tolist()
    assert conv.probabilities == pytest.approx(expected, abs=1e-6)
    assert conv.sum == pytest.approx(sum(conv.exponentials))
    assert conv.margin == pytest.approx(expected[3] - expected[4], abs=1e-6)


def test_entropy_is_zero_for_certainty_and_greatest_for_equal_probabilities():
    assert arithmetic.softmax((5000.0, 0.0), 1).entropy == 0
    assert arithmetic.softmax((1.0,) * 8, 1).entropy == pytest.approx(math.log2(8))


def test_a_small_drawing_in_a_corner_is_scaled_and_then_centered_by_mass():
    drawn = [[[at / 10, y] for at in (1, 2)] for y in (0.1, 0.2)] + [[[0.1, 0.1], [0.1, 0.2]]]
    conv = arithmetic.centering(drawn)
    assert torch.equal(conv.centred, digit_from_strokes(drawn)[0, 0])
    assert conv.drawn[10:].max() == 0 and conv.drawn[:10].max() == 1
    inked = conv.fitted.nonzero()
    assert inked.amin(0).tolist() == [4, 4] and inked.amax(0).tolist() == [23, 23]
    moved = [round(13.5 - at) for at in conv.mass]
    assert torch.equal(conv.fitted.roll(moved, (0, 1)), conv.centred)


def test_nothing_drawn_stays_nothing():
    conv = arithmetic.centering([])
    assert not any(picture.any() for picture in (conv.drawn, conv.fitted, conv.centred))
