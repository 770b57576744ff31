"""A trace follows one activation as the network computes it."""

import re

import pytest
import torch
from torch import nn

from cnn.data.datasets import DATASETS
from cnn.interpret import arithmetic
from cnn.interpret.layers import flat_layers
from cnn.interpret.trace import trace_activation
from cnn.models import architectures
from cnn.models.architectures import MODELS

IMAGE = torch.tensor([1.0, 4.0, 9.0, 16.0]).expand(1, 1, 4, 4)


def _edge_detector() -> nn.Sequential:
    """The difference of neighbors plus one half, ReLU, pooling, and two classes."""
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


def test_a_trace_computed_by_hand_leads_to_the_probability():
    network = _edge_detector()
    start = arithmetic.break_down_conv(network, IMAGE, "conv1", 0, 1, 2)
    relu, pool, flat, times, plus, softmax = trace_activation(network, IMAGE, start, ("cat", "dog"))
    assert (relu.layer, relu.values, relu.result) == ("relu1", (5.5,), 5.5)
    assert (pool.layer, pool.values, pool.result) == ("pool1", (5.5, 7.5, 5.5, 7.5), 7.5)
    assert "element 1 of a vector of 4" in flat.text
    assert times.values == pytest.approx((7.5, 0.2))
    assert times.text == "times its weight for class dog"
    assert plus.values == pytest.approx((1.5, 2.5))
    assert plus.result == pytest.approx(4.0)
    assert softmax.result == pytest.approx(torch.tensor([0.0, 4.0]).softmax(0)[1].item())


def test_pooling_keeps_the_maximum_and_says_where_it_leaves_out_an_odd_edge():
    torch.manual_seed(0)
    network = architectures.build("three-conv", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    for row, column in ((5, 5), (6, 0), (0, 6), (6, 6)):
        start = arithmetic.break_down_conv(network, image, "conv3", 2, row, column)
        relu, pool, *_ = trace_activation(network, image, start, DATASETS["mnist"].classes)
        assert pool.result == max(pool.values)
        assert ("is left out" in pool.text) == (6 in (row, column))
        assert relu.result in pool.values or "is left out" in pool.text


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
@pytest.mark.parametrize("name", MODELS)
def test_each_step_starts_with_the_result_of_the_one_before(name, dataset):
    torch.manual_seed(0)
    dataset = DATASETS[dataset]
    network = architectures.build(name, dataset).eval()
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    names = [name for name, _ in flat_layers(network)]
    for layer, module in flat_layers(network):
        if not isinstance(module, nn.Conv2d):
            continue
        start = arithmetic.break_down_conv(network, image, layer, 3, 4, 5)
        value, steps = start.total, trace_activation(network, image, start, dataset.classes)
        for step in steps:
            assert min(abs(value - number) for number in step.values) < 1e-4
            value = step.result
        assert value == pytest.approx(network(image).softmax(1).max().item(), abs=1e-5)
        traced = [step.layer for step in steps if step.layer in names]
        assert traced == sorted(traced, key=names.index)


def test_a_product_and_its_sum_are_what_the_layer_computes():
    torch.manual_seed(0)
    network = architectures.build("three-conv", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    start = arithmetic.break_down_conv(network, image, "conv1", 2)
    for step in trace_activation(network, image, start, DATASETS["mnist"].classes):
        if step.sign == " × ":
            assert step.result == pytest.approx(step.values[0] * step.values[1])
        if step.sign == " + ":
            assert step.result == pytest.approx(sum(step.values), abs=1e-5)


def test_batch_norm_is_explained_by_the_numbers_of_its_map():
    torch.manual_seed(0)
    network = architectures.build("four-conv-norm", DATASETS["mnist"])
    network(torch.rand(8, 1, 28, 28))
    network.eval()
    image = torch.rand(1, 1, 28, 28)
    start = arithmetic.break_down_conv(network, image, "conv1", 5, 3, 4)
    norm, relu, *_ = trace_activation(network, image, start, DATASETS["mnist"].classes)
    text = norm.text.replace("\u2212", "-")
    numbers = [float(number) for number in re.findall(r"-?\d\.?[\de.+-]*", text)]
    mean, deviation, scale, shift = numbers
    assert norm.values == pytest.approx((start.total,), abs=1e-5)
    expected = (start.total - mean) / deviation * scale + shift
    assert norm.result == pytest.approx(expected, rel=0.02, abs=0.01)
    assert relu.result == pytest.approx(max(norm.result, 0))


def test_a_trace_goes_through_the_output_that_contributes_most_to_the_prediction():
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(1, 1, 1, bias=False))
    network.add_module("flatten", nn.Flatten())
    network.add_module("dense1", nn.Linear(1, 2, bias=False))
    network.add_module("dense2", nn.Linear(2, 2, bias=False))
    network.conv1.weight = nn.Parameter(torch.ones(1, 1, 1, 1))
    network.dense1.weight = nn.Parameter(torch.tensor([[3.0], [2.0]]))
    network.dense2.weight = nn.Parameter(torch.tensor([[0.1, 5.0], [0.0, 0.0]]))
    image = torch.ones(1, 1, 1, 1)
    start = arithmetic.break_down_conv(network, image, "conv1")
    steps = trace_activation(network, image, start, ("cat", "dog"))
    assert [step.text for step in steps if step.sign == " × "] == [
        "times its weight for unit 1",  # 2 x 5 is more than 3 x 0.1
        "times its weight for class cat",
    ]


def test_tracing_leaves_no_gradient_behind():
    network = _edge_detector()
    start = arithmetic.break_down_conv(network, IMAGE, "conv1", 0, 1, 2)
    trace_activation(network, IMAGE, start, ("cat", "dog"))
    assert all(parameter.grad is None for parameter in network.parameters())
