"""Out-of-distribution images fit the data set and show none of its classes."""

import pytest
import torch

from cnn.data.datasets import DATASETS
from cnn.data.ood import ood_images

every_dataset = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)


@every_dataset
def test_the_images_of_each_kind_fit_the_data_set(dataset):
    for images in ood_images(dataset).values():
        assert len(images) > 200
        assert images.shape[1:] == (dataset.channels, dataset.size, dataset.size)
        assert images.dtype == torch.float32
        assert images.min() >= 0 and images.max() <= 1


@every_dataset
def test_no_two_images_are_equal_and_none_is_blank(dataset):
    for images in ood_images(dataset).values():
        assert len(images.flatten(1).unique(dim=0)) == len(images)
        assert (images.flatten(1).std(1) > 0.01).all()
