"""One number's way through a network, told step by step, is the way that the network takes."""

import pytest
import torch
from torch import nn

from cnn.data.datasets import DATASETS
from cnn.interpret import arithmetic
from cnn.interpret.layers import flat_layers
from cnn.interpret.trace import trace_activation
from cnn.models import architectures
from cnn.models.architectures import MODELS

PICTURE = torch.tensor([1.0, 4.0, 9.0, 16.0]).expand(1, 1, 4, 4)


def _edge_finder() -> nn.Sequential:
    """The difference of neighbours and a half, ReLU, pooling, and two classes."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(1, 1, 3, padding=1))
    network.add_module("relu1", nn.ReLU())
    network.add_module("pool1", nn.MaxPool2d(2))
    network.add_module("flatten", nn.Flatten())
    network.add_module("dense", nn.Linear(4, 2))
    weights = torch.tensor([[0.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    network.conv1.weight = nn.Parameter(weights.view(1, 1, 3, 3))
    network.conv1.bias = nn.Parameter(torch.tensor([0.5]))
    network.dense.weight = nn.Parameter(torch.tensor([[0.0] * 4, [0, 0.2, 0, 0.2]]))
    network.dense.bias = nn.Parameter(torch.tensor([0.0, 1.0]))
    return network.eval()


def test_a_number_is_followed_to_the_probability_as_one_works_out_by_hand():
    network = _edge_finder()
    start = arithmetic.break_down_conv(network, PICTURE, "conv1", 0, 1, 2)
    relu, pool, flat, times, plus, share = trace_activation(network, PICTURE, start, ("cat", "dog"))
    assert (relu.stage, relu.values, relu.becomes) == ("relu1", (5.5,), 5.5)
    assert (pool.stage, pool.values, pool.becomes) == ("pool1", (5.5, 7.5, 5.5, 7.5), 7.5)
    assert "number 1 of 4" in flat.words
    assert times.values == pytest.approx((7.5, 0.2))
    assert times.words == "times its weight for class dog"
    assert plus.values == pytest.approx((1.5, 2.5))
    assert plus.becomes == pytest.approx(4.0)
    assert share.becomes == pytest.approx(torch.tensor([0.0, 4.0]).softmax(0)[1].item())


def test_pooling_keeps_the_greatest_and_says_so_where_it_leaves_an_odd_edge_out():
    torch.manual_seed(0)
    network = architectures.build("three-conv", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    for row, column in ((5, 5), (6, 0), (0, 6), (6, 6)):
        start = arithmetic.break_down_conv(network, image, "conv3", 2, row, column)
        relu, pool, *_ = trace_activation(network, image, start, DATASETS["mnist"].classes)
        assert pool.becomes == max(pool.values)
        assert ("is left out" in pool.words) == (6 in (row, column))
        assert relu.becomes in pool.values or "is left out" in pool.words


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
@pytest.mark.parametrize("name", MODELS)
def test_in_every_network_each_step_begins_with_the_number_that_the_last_one_left(name, dataset):
    torch.manual_seed(0)
    dataset = DATASETS[dataset]
    network = architectures.build(name, dataset).eval()
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    stages = [stage for stage, _ in flat_layers(network)]
    for stage, module in flat_layers(network):
        if not isinstance(module, nn.Conv2d):
            continue
        start = arithmetic.break_down_conv(network, image, stage, 3, 4, 5)
        value, steps = start.total, trace_activation(network, image, start, dataset.classes)
        for step in steps:
            assert min(abs(value - one) for one in step.values) < 1e-4
            value = step.becomes
        assert value == pytest.approx(network(image).softmax(1).max().item(), abs=1e-5)
        told = [step.stage for step in steps if step.stage in stages]
        assert told == sorted(told, key=stages.index)


def test_a_product_and_its_sum_are_what_the_layer_computes():
    torch.manual_seed(0)
    network = architectures.build("three-conv", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    start = arithmetic.break_down_conv(network, image, "conv1", 2)
    for step in trace_activation(network, image, start, DATASETS["mnist"].classes):
        if step.sign == " × ":
            assert step.becomes == pytest.approx(step.values[0] * step.values[1])
        if step.sign == " + ":
            assert step.becomes == pytest.approx(sum(step.values), abs=1e-5)
