"""Every network for every data set; the parameters of the tutorials' five are counted by hand."""

import inspect

import pytest
import torch
from torch import nn

from cnn import UserError
from cnn.data.datasets import CIFAR10, DATASETS, MNIST
from cnn.models import architectures, layers
from cnn.models.architectures import MODELS

every_network = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
every_name = pytest.mark.parametrize("name", MODELS)


def _network(name, dataset) -> nn.Sequential:
    torch.manual_seed(0)
    return architectures.build(name, dataset).eval()


def _images(dataset, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, dataset.channels, dataset.size, dataset.size)
    return torch.rand(shape, generator=generator)


@every_network
@every_name
def test_every_network_returns_a_finite_logit_per_class(name, dataset):
    logits = _network(name, dataset)(_images(dataset))
    assert logits.shape == (3, len(dataset.classes))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@every_network
@every_name
def test_black_and_white_images_have_finite_logits(name, dataset):
    network, images = _network(name, dataset), _images(dataset)
    for value in (0.0, 1.0):
        assert network(torch.full_like(images, value)).isfinite().all()


@every_network
@every_name
def test_the_logits_of_an_image_do_not_depend_on_its_batch(name, dataset):
    network, images = _network(name, dataset), _images(dataset)
    alone = torch.cat([network(image.unsqueeze(0)) for image in images])
    assert torch.allclose(network(images), alone, atol=1e-4)


@every_network
@every_name
def test_different_images_have_different_logits(name, dataset):
    logits = _network(name, dataset)(_images(dataset))
    assert not torch.allclose(logits[0], logits[1], atol=1e-6)


@every_network
@every_name
def test_the_named_layers_in_order_are_the_whole_network(name, dataset):
    network, images = _network(name, dataset), _images(dataset)
    assert isinstance(network, nn.Sequential)
    layers = dict(network.named_children())
    assert all(name.isidentifier() for name in layers)
    output = images
    for layer in layers.values():
        output = layer(output)
    assert torch.equal(output, network(images))


@every_network
@every_name
def test_inputs_are_not_changed(name, dataset):
    images = _images(dataset)
    before = images.clone()
    _network(name, dataset)(images)
    assert torch.equal(images, before)


@every_network
@every_name
def test_the_memory_format_does_not_change_the_logits(name, dataset):
    network, images = _network(name, dataset), _images(dataset)
    columns = images.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(images), network(columns), atol=1e-4)


@every_network
@every_name
def test_every_trainable_weight_gets_a_gradient(name, dataset):
    network = _network(name, dataset)
    network(_images(dataset)).square().sum().backward()
    for weight, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), weight


@every_name
def test_weights_depend_on_the_seed(name):
    first, again = (_network(name, MNIST).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)


@every_name
def test_dropout_can_be_chosen_and_acts_only_in_training(name):
    torch.manual_seed(0)
    network = architectures.build(name, MNIST, dropout=0.7)
    shares = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert shares and all(share == 0.7 for share in shares)
    images = _images(MNIST)
    network.eval()
    assert torch.equal(network(images), network(images))


@every_name
def test_every_network_is_documented(name):
    assert inspect.getdoc(MODELS[name])


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 2.0, float("nan")])
def test_an_impossible_dropout_rate_is_an_error(dropout):
    with pytest.raises(UserError, match="Choose from 0"):
        architectures.build("two-conv", MNIST, dropout)


def test_an_unknown_network_is_an_error_that_lists_the_others():
    with pytest.raises(UserError, match="'alexnet'") as caught:
        architectures.build("alexnet", MNIST)
    assert all(name in str(caught.value) for name in MODELS)


def _convolution(before: int, after: int, side: int) -> int:
    return before * after * side * side + after


def _dense(before: int, after: int) -> int:
    return before * after + after


def _three_convolutions(channels: int, first_side: int = 3) -> int:
    first = _convolution(channels, 32, first_side)
    return first + _convolution(32, 64, 3) + _convolution(64, 128, 3)


def _two_layers(features: int, hidden: int) -> int:
    return _dense(features, hidden) + _dense(hidden, 10)


NORMS = 2 * (32 + 64 + 128)

# Pooling halves and rounds down: 28 -> 14 -> 7 -> 3 and 32 -> 16 -> 8 -> 4.
COUNTED = [
    ("two-conv", MNIST, _convolution(1, 32, 3) + _convolution(32, 32, 3) + _dense(32 * 7 * 7, 10)),
    ("two-conv", CIFAR10, _convolution(3, 32, 3) + _convolution(32, 32, 3) + _dense(2048, 10)),
    ("three-conv", MNIST, _three_convolutions(1) + _two_layers(1152, 128)),
    ("three-conv", CIFAR10, _three_convolutions(3) + _two_layers(2048, 128)),
    ("three-conv-norm", MNIST, _three_convolutions(3, 5) + NORMS + _two_layers(2048, 256)),
    ("three-conv-norm", CIFAR10, _three_convolutions(3, 5) + NORMS + _two_layers(2048, 256)),
    (
        "two-conv-dropout",
        MNIST,
        _convolution(1, 32, 3) + _convolution(32, 64, 3) + _two_layers(64 * 6 * 6, 128),
    ),
    ("three-conv-wide", MNIST, _three_convolutions(1) + _two_layers(1152, 512)),
    ("three-conv-wide", CIFAR10, _three_convolutions(3) + _two_layers(2048, 512)),
]


@pytest.mark.parametrize(("name", "dataset", "counted"), COUNTED)
def test_the_networks_of_tutorials_have_the_parameters_counted_by_hand(name, dataset, counted):
    assert architectures.count_parameters(_network(name, dataset)) == counted


def test_frozen_parameters_are_counted_too():
    network = _network("two-conv", MNIST)
    whole = architectures.count_parameters(network)
    network.requires_grad_(False)
    assert architectures.count_parameters(network) == whole


def test_normalizing_brings_the_mean_to_zero_and_one_deviation_to_one():
    normalize = layers.Normalize(CIFAR10.mean, CIFAR10.std)
    mean = torch.tensor(CIFAR10.mean).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    above = mean + torch.tensor(CIFAR10.std).view(1, 3, 1, 1)
    assert torch.allclose(normalize(mean), torch.zeros(1, 3, 2, 2))
    assert torch.allclose(normalize(above), torch.ones(1, 3, 2, 2))


def test_mean_and_deviation_are_saved_with_the_weights_and_not_trained():
    normalize = layers.Normalize(MNIST.mean, MNIST.std)
    assert set(normalize.state_dict()) == {"mean", "std"}
    assert not list(normalize.parameters())


def test_a_digit_becomes_a_color_image_of_32_pixels():
    digit = _images(MNIST)
    colour = layers.ToColor32()(digit)
    assert colour.shape == (3, 3, 32, 32)
    assert torch.equal(colour[:, 0], colour[:, 2])
    assert colour.mean().item() == pytest.approx(digit.mean().item(), abs=0.01)


def test_a_photo_of_32_pixels_passes_bit_for_bit():
    photo = _images(CIFAR10)
    assert torch.equal(layers.ToColor32()(photo), photo)
