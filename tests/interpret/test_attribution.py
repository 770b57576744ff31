"""Which pixels counted is known beforehand for networks made by hand."""

import pytest
import torch
from torch import nn

from cnn import UserError
from cnn.data.datasets import DATASETS
from cnn.interpret import attribution
from cnn.interpret.attribution import METHODS, attribute
from cnn.models import architectures
from cnn.models.architectures import MODELS

ROW, COLUMN = 3, 10


def _watching_one_pixel() -> nn.Sequential:
    """A network whose class 1 is the pixel at ROW, COLUMN, and whose class 0 is its negative."""
    network = nn.Sequential()
    network.add_module("conv", nn.Conv2d(1, 1, 1, bias=False))
    network.add_module("flatten", nn.Flatten())
    network.add_module("dense", nn.Linear(16 * 16, 2, bias=False))
    network.conv.weight = nn.Parameter(torch.ones(1, 1, 1, 1))
    weights = torch.zeros(2, 16, 16)
    weights[1, ROW, COLUMN], weights[0, ROW, COLUMN] = 1, -1
    network.dense.weight = nn.Parameter(weights.flatten(1))
    return network.eval()


@pytest.fixture
def planted():
    """A black picture with one white pixel."""
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, ROW, COLUMN] = 1
    return image


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_pixel_is_found(method, planted):
    counted = attribute(_watching_one_pixel(), planted, method, 1)
    assert counted.shape == (16, 16)
    assert counted[ROW, COLUMN] == counted.max() > 0
    if method != "occlusion":
        assert counted.count_nonzero() == 1


@pytest.mark.parametrize("method", ["occlusion", "integrated-gradients"])
def test_what_speaks_against_a_class_is_negative(method, planted):
    counted = attribute(_watching_one_pixel(), planted, method, 0)
    assert counted[ROW, COLUMN] == counted.min() < 0


def test_occlusion_counts_nothing_farther_than_its_window(planted):
    counted = attribute(_watching_one_pixel(), planted, "occlusion", 1)
    rows, columns = counted.nonzero(as_tuple=True)
    assert (rows - ROW).abs().max() < attribution.WINDOW
    assert (columns - COLUMN).abs().max() < attribution.WINDOW


def test_integrated_gradients_sum_to_the_change_of_the_logit():
    torch.manual_seed(0)
    network = architectures.build("two-conv", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    counted = attribute(network, image, "integrated-gradients", 4)
    change = network(image)[0, 4] - network(torch.zeros_like(image))[0, 4]
    assert counted.sum().item() == pytest.approx(change.item(), abs=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_every_network_can_be_asked_and_stays_as_it_was(name, method):
    torch.manual_seed(0)
    dataset = DATASETS["mnist" if name != "airbench" else "cifar10"]
    network = architectures.build(name, dataset).eval().requires_grad_(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    counted = attribute(network, image, method, 3)
    assert counted.shape == image.shape[2:]
    assert counted.isfinite().all()
    assert not counted.requires_grad and not image.requires_grad
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_an_unknown_method_is_told_with_those_there_are():
    with pytest.raises(UserError, match="'magic'.*grad-cam"):
        attribute(_watching_one_pixel(), torch.zeros(1, 1, 16, 16), "magic", 0)
