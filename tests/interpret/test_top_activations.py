"""The top activating images of a filter, and its receptive field."""

import dataclasses

import pytest
import torch
from support import learner
from torch import nn

from cnn.data import datasets
from cnn.interpret.layers import activation_of, flat_layers, receptive_field
from cnn.interpret.top_activations import TOP_IMAGES, probe_images, top_activations
from cnn.models import architectures
from cnn.models.checkpoints import Checkpoint


@pytest.fixture
def untrained() -> Checkpoint:
    torch.manual_seed(0)
    card = learner.checkpoint().card
    network = architectures.build("tiny-cnn", datasets.SYNTHETIC).eval().requires_grad_(False)
    return Checkpoint(network, dataclasses.replace(card, model="tiny-cnn"))


def test_a_filter_that_sums_its_patch_is_activated_most_by_the_fullest_patch(untrained):
    convolution = untrained.network.conv1
    convolution.weight.fill_(1.0)
    top = top_activations(untrained, "conv1")
    first = top.images[0].tolist()
    images = probe_images(untrained).images.float()
    fullest = torch.nn.functional.avg_pool2d(images, 5, 1, 2, divisor_override=1).amax((1, 2, 3))
    assert len(set(first)) == TOP_IMAGES
    assert fullest[first[0]] == fullest.max()
    assert fullest[first].tolist() == sorted(fullest.tolist(), reverse=True)[:TOP_IMAGES]


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
@pytest.mark.parametrize("name", ["tiny-cnn", "three-conv-norm", "airbench", "two-conv-dropout"])
def test_only_the_receptive_field_changes_an_activation(name, dataset):
    dataset = datasets.get_dataset(dataset)
    network = architectures.build(name, dataset).eval()
    convolutions = [s for s, module in flat_layers(network) if isinstance(module, nn.Conv2d)]
    for layer in convolutions[:4]:
        image = torch.rand(1, dataset.channels, dataset.size, dataset.size, requires_grad=True)
        maps = activation_of(network, image, layer).output
        row, column = maps.shape[2] // 2, maps.shape[3] // 2
        maps[0, :, row, column].square().sum().backward()
        moved = image.grad[0].abs().sum(0).nonzero()
        field = receptive_field(network, layer, dataset.size)
        top, left, height, width = field.box(row, column)
        low, high = moved.amin(0).tolist(), moved.amax(0).tolist()
        assert top - 1 <= low[0] and high[0] <= top + height
        assert left - 1 <= low[1] and high[1] <= left + width


def test_receptive_fields_match_those_counted_by_hand():
    network = architectures.build("three-conv", datasets.MNIST)
    assert receptive_field(network, "conv1", 28).box(5, 7) == (4, 6, 3, 3)
    assert receptive_field(network, "conv2", 28).box(0, 3) == (-3, 3, 8, 8)


def test_each_filter_has_its_own_images_found_once(untrained):
    fractions = []
    top = top_activations(untrained, "conv2", fractions.append)
    assert top.images.shape == (untrained.network.conv2.out_channels, TOP_IMAGES)
    assert top.positions.shape == (*top.images.shape, 2)
    assert fractions[-1] == 1.0 and fractions == sorted(fractions)
    assert top_activations(untrained, "conv2") is top
