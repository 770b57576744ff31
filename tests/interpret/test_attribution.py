"""Attributions are known in advance for networks made by hand."""

import pytest
import torch
from torch import nn

from cnn import UserError
from cnn.data.datasets import DATASETS
from cnn.interpret import attribution
from cnn.interpret.attribution import METHODS, attribute, attribute_classes
from cnn.models import architectures
from cnn.models.architectures import MODELS

ROW, COLUMN = 3, 10


def _one_pixel_network() -> nn.Sequential:
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
def dot():
    """A black image with one white pixel."""
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, ROW, COLUMN] = 1
    return image


@pytest.mark.parametrize("method", METHODS)
def test_the_only_pixel_that_matters_is_found(method, dot):
    values = attribute(_one_pixel_network(), dot, method, 1)
    assert values.shape == (16, 16)
    assert values[ROW, COLUMN] == values.max() > 0
    if method != "occlusion":
        assert values.count_nonzero() == 1


@pytest.mark.parametrize("method", ["occlusion", "integrated-gradients"])
def test_what_speaks_against_a_class_is_negative(method, dot):
    values = attribute(_one_pixel_network(), dot, method, 0)
    assert values[ROW, COLUMN] == values.min() < 0


def test_occlusion_reaches_no_farther_than_its_window(dot):
    values = attribute(_one_pixel_network(), dot, "occlusion", 1)
    rows, columns = values.nonzero(as_tuple=True)
    assert (rows - ROW).abs().max() < attribution.WINDOW
    assert (columns - COLUMN).abs().max() < attribution.WINDOW


def test_integrated_gradients_sum_to_the_change_of_the_logit():
    torch.manual_seed(0)
    network = architectures.build("two-conv", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    values = attribute(network, image, "integrated-gradients", 4)
    change = network(image)[0, 4] - network(torch.zeros_like(image))[0, 4]
    assert values.sum().item() == pytest.approx(change.item(), abs=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_every_network_works_and_stays_as_it_was(name, method):
    torch.manual_seed(0)
    dataset = DATASETS["mnist" if name != "airbench" else "cifar10"]
    network = architectures.build(name, dataset).eval().requires_grad_(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.rand(1, dataset.channels, dataset.size, dataset.size)
    values = attribute(network, image, method, 3)
    assert values.shape == image.shape[2:]
    assert values.isfinite().all()
    assert not values.requires_grad and not image.requires_grad
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_an_unknown_method_is_an_error_that_lists_the_others():
    with pytest.raises(UserError, match="'magic'.*grad-cam"):
        attribute(_one_pixel_network(), torch.zeros(1, 1, 16, 16), "magic", 0)


@pytest.mark.parametrize("method", METHODS)
def test_several_classes_at_once_get_what_each_gets_alone(method):
    torch.manual_seed(0)
    network = architectures.build("four-conv-norm", DATASETS["mnist"]).eval().requires_grad_(False)
    image = torch.rand(1, 1, 28, 28)
    both = attribute_classes(network, image, method, [3, 7])
    alone = torch.stack([attribute(network, image, method, label) for label in (3, 7)])
    assert torch.allclose(both, alone, atol=1e-6)
    assert not torch.allclose(both[0], both[1], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_no_gradient_is_left_behind(method, dot):
    network = _one_pixel_network()
    attribute(network, dot, method, 1)
    assert all(parameter.grad is None for parameter in network.parameters())
