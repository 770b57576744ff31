"""The pictures that a filter is shown with are those in which it finds most."""

import dataclasses

import pytest
import torch

from cnn import checkpoints, datasets, excitement, models
from cnn.checkpoints import Checkpoint


@pytest.fixture
def untrained() -> Checkpoint:
    torch.manual_seed(0)
    card = checkpoints.default("checkpoints", "mnist").card
    network = models.build("tiny", datasets.SYNTHETIC).eval().requires_grad_(False)
    return Checkpoint(network, dataclasses.replace(card, dataset="synthetic", model="tiny"))


def test_a_filter_that_sums_its_patch_is_excited_most_by_the_fullest_patch(untrained):
    convolution = untrained.network.conv1
    convolution.weight.fill_(1.0)
    first = excitement.most_exciting(untrained, "conv1")[0].tolist()
    images = excitement.looked_at(untrained).images.float()
    fullest = torch.nn.functional.avg_pool2d(images, 5, 1, 2, divisor_override=1).amax((1, 2, 3))
    assert len(set(first)) == excitement.SHOWN
    assert fullest[first[0]] == fullest.max()
    assert fullest[first].tolist() == sorted(fullest.tolist(), reverse=True)[: excitement.SHOWN]


def test_each_filter_has_its_own_pictures_and_they_are_found_once(untrained):
    heard = []
    found = excitement.most_exciting(untrained, "conv2", heard.append)
    assert found.shape == (untrained.network.conv2.out_channels, excitement.SHOWN)
    assert heard[-1] == 1.0 and heard == sorted(heard)
    assert excitement.most_exciting(untrained, "conv2") is found
