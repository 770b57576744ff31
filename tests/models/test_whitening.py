"""The whitening layer: what its filters make of patches, and that none of it is trained."""

import torch
from torch.nn import functional

from cnn.data.datasets import DATASETS
from cnn.models import architectures
from cnn.models.layers import Whitening


def _smooth_images(channels=3):
    noise = torch.randn(200, channels, 12, 12, generator=torch.Generator().manual_seed(0))
    return functional.avg_pool2d(noise, 3, 1) + noise[..., 1:-1, 1:-1] / 10


def _covariance(layer, images):
    responses = layer(images).transpose(0, 1).flatten(1)
    return torch.cov(responses[: len(responses) // 2])


def test_responses_to_the_training_images_are_uncorrelated_and_of_equal_variance():
    layer, images = Whitening(3), _smooth_images()
    layer.init_from(images)
    covariance = _covariance(layer, images)
    assert torch.allclose(covariance, torch.eye(27), atol=0.1)


def test_the_second_half_of_the_filters_are_the_negatives_of_the_first():
    layer = Whitening(3, components=5)
    layer.init_from(_smooth_images())
    filters, negatives = layer.weight.chunk(2)
    assert torch.equal(negatives, -filters)


def test_fewer_components_are_those_with_the_largest_variance():
    images = _smooth_images()
    whole, part = Whitening(3), Whitening(3, components=5)
    whole.init_from(images)
    part.init_from(images)
    assert torch.equal(part.weight[:5], whole.weight[:5])
    variances = torch.cov(functional.unfold(images, 3).transpose(1, 2).flatten(0, 1).T)
    along = [functional.normalize(one.flatten(), dim=0) for one in whole.weight[:27]]
    kept = [float(one @ variances @ one) for one in along]
    assert kept == sorted(kept, reverse=True)


def test_one_channel_has_no_more_than_nine_components():
    assert Whitening(1, components=16).out_channels == 18


def test_the_layer_after_whitening_needs_no_gradient_of_its_input():
    for name in ("airbench", "airbench-small", "airbench-quick"):
        network = architectures.build(name, DATASETS["cifar10"])
        whitened = network[:3](torch.rand(2, 3, 32, 32))
        assert not whitened.requires_grad
