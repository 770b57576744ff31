"""An example's sentence holds the numbers that its layer computes."""

import re

import pytest
import torch
from torch import nn

from cnn.data.datasets import DATASETS
from cnn.interpret import examples
from cnn.interpret.layers import Activation, activations
from cnn.models import architectures
from cnn.models.architectures import MODELS
from cnn.models.layers import Normalize, Scale, ToColor32


def numbers(sentence: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.\d+", sentence.replace("\u2212", "-"))]


def step(layer: nn.Module, values: list) -> Activation:
    images = torch.tensor(values)
    return Activation("layer", layer.eval(), images, layer(images))


def test_relu_shows_what_is_kept_and_what_becomes_zero():
    sentence = examples.layer_example(step(nn.ReLU(), [[[[-1.5, 2.5], [-0.5, 0.25]]]]))
    assert sentence == (
        "Map 0 of layer, row 0, column 1: max(0, 2.50) = 2.50; elsewhere max(0, \u22121.50) = 0. "
        "Of its 4 numbers 50 % are 0 now."
    )


def test_pooling_shows_the_window_of_its_greatest_number():
    sentence = examples.layer_example(step(nn.MaxPool2d(2), [[[[1.0, 2.0], [4.0, 3.0]]]]))
    assert "max(1.00, 2.00, 4.00, 3.00) = 4.00" in sentence


def test_batch_norm_can_be_computed_from_its_sentence():
    norm = nn.BatchNorm2d(1)
    norm.running_mean[0], norm.running_var[0] = 2.0, 4.0
    norm.weight.data[0], norm.bias.data[0] = 3.0, -1.0
    weight, value, mean, deviation, bias, result = numbers(
        examples.layer_example(step(norm, [[[[6.0]]]]))
    )
    assert weight * (value - mean) / deviation + bias == pytest.approx(result) == 5


def test_a_dense_layers_products_and_bias_sum_to_its_unit():
    dense = nn.Linear(2, 2)
    dense.weight.data[:] = torch.tensor([[1.0, 1.0], [2.0, 3.0]])
    dense.bias.data[:] = torch.tensor([0.0, -1.0])
    sentence = examples.layer_example(step(dense, [[1.0, 2.0]]))
    assert sentence.startswith("Unit 1 of layer: 2 products") and numbers(sentence) == [8, -1, 7]


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_with_an_explanation_has_an_example(name):
    dataset = DATASETS["cifar10"]
    network = architectures.build(name, dataset).eval()
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    silent = (nn.Dropout, nn.Flatten, nn.Sequential, Normalize, Scale, ToColor32)
    for step in activations(network, image):
        if not isinstance(step.layer, silent):
            assert numbers(examples.layer_example(step)), step.name


def test_logits_become_a_probability_as_the_sentence_says():
    logits, classes = (1.0, 3.0, -2.0), ("a", "b", "c")
    assert "3.00, for b; then comes 1.00, for a" in examples.logit_example(logits, classes)
    expected = torch.tensor(logits).div(2).softmax(0)[1].item()
    sentence = examples.softmax_example(logits, classes, 2.0)
    assert numbers(sentence)[-1] == pytest.approx(expected, abs=1e-4)
