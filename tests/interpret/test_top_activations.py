"""The pictures that a filter is shown with are those in which it finds most."""

import dataclasses

import pytest
import torch
from torch import nn

from cnn.data import datasets
from cnn.interpret.layers import flat_layers
from cnn.interpret.top_activations import (
    TOP_IMAGES,
    _up_to,
    probe_images,
    receptive_field,
    top_activations,
)
from cnn.models import architectures, checkpoints
from cnn.models.checkpoints import Checkpoint


@pytest.fixture
def untrained() -> Checkpoint:
    torch.manual_seed(0)
    card = checkpoints.load_default("checkpoints", "mnist").card
    network = architectures.build("tiny-cnn", datasets.SYNTHETIC).eval().requires_grad_(False)
    return Checkpoint(network, dataclasses.replace(card, dataset="synthetic", model="tiny-cnn"))


def test_a_filter_that_sums_its_patch_is_excited_most_by_the_fullest_patch(untrained):
    convolution = untrained.network.conv1
    convolution.weight.fill_(1.0)
    found = top_activations(untrained, "conv1")
    first = found.pictures[0].tolist()
    images = probe_images(untrained).images.float()
    fullest = torch.nn.functional.avg_pool2d(images, 5, 1, 2, divisor_override=1).amax((1, 2, 3))
    assert len(set(first)) == TOP_IMAGES
    assert fullest[first[0]] == fullest.max()
    assert fullest[first].tolist() == sorted(fullest.tolist(), reverse=True)[:TOP_IMAGES]


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
@pytest.mark.parametrize("name", ["tiny-cnn", "three-conv-norm", "airbench", "two-conv-dropout"])
def test_only_what_stands_in_the_frame_moves_the_number(name, dataset):
    dataset = datasets.get_dataset(dataset)
    network = architectures.build(name, dataset).eval()
    convolutions = [s for s, module in flat_layers(network) if isinstance(module, nn.Conv2d)]
    for stage in convolutions[:4]:
        image = torch.rand(1, dataset.channels, dataset.size, dataset.size, requires_grad=True)
        maps = _up_to(network, stage, image)
        row, column = maps.shape[2] // 2, maps.shape[3] // 2
        maps[0, :, row, column].square().sum().backward()
        moved = image.grad[0].abs().sum(0).nonzero()
        top, left, height, width = receptive_field(network, stage, dataset.size, row, column)
        low, high = moved.amin(0).tolist(), moved.amax(0).tolist()
        assert top - 1 <= low[0] and high[0] <= top + height
        assert left - 1 <= low[1] and high[1] <= left + width


def test_a_frame_is_as_one_counts_by_hand():
    network = architectures.build("three-conv", datasets.MNIST)
    assert receptive_field(network, "conv1", 28, 5, 7) == (4, 6, 3, 3)
    assert receptive_field(network, "conv2", 28, 0, 3) == (-3, 3, 8, 8)


def test_each_filter_has_its_own_pictures_and_they_are_found_once(untrained):
    heard = []
    found = top_activations(untrained, "conv2", heard.append)
    assert found.pictures.shape == (untrained.network.conv2.out_channels, TOP_IMAGES)
    assert found.places.shape == (*found.pictures.shape, 2)
    assert heard[-1] == 1.0 and heard == sorted(heard)
    assert top_activations(untrained, "conv2") is found
