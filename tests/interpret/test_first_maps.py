"""The first maps of each activation function, as levels of one byte."""

import torch

from cnn.data.datasets import DATASETS
from cnn.interpret.layers import feature_maps, first_maps
from cnn.models import architectures


def test_each_activation_function_gives_its_first_maps_from_zero_to_its_greatest_value():
    network = architectures.build("four-conv-norm", DATASETS["mnist"]).eval()
    image = torch.rand(1, 1, 28, 28)
    maps = dict(feature_maps(network, image))
    found = list(first_maps(network, image, 8))
    assert [name for name, _, _ in found] == ["relu1", "relu2", "relu3", "relu4"]
    for name, shape, levels in found:
        assert shape == maps[name].shape
        assert levels.dtype == torch.uint8 and levels.shape == (8, *shape[1:])
        first = maps[name][:8]
        assert torch.equal(levels, (255 * first / first.max()).round().byte())
