"""Strangers are pictures a network could be given, and show none of its classes."""

import pytest
import torch

from cnn.data.datasets import DATASETS
from cnn.data.ood import ood_images

every_dataset = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)


@every_dataset
def test_each_kind_has_pictures_that_fit_the_data_set(dataset):
    for pictures in ood_images(dataset).values():
        assert len(pictures) > 200
        assert pictures.shape[1:] == (dataset.channels, dataset.size, dataset.size)
        assert pictures.dtype == torch.float32
        assert pictures.min() >= 0 and pictures.max() <= 1


@every_dataset
def test_no_two_pictures_are_the_same_and_none_is_bare(dataset):
    for pictures in ood_images(dataset).values():
        assert len(pictures.flatten(1).unique(dim=0)) == len(pictures)
        assert (pictures.flatten(1).std(1) > 0.01).all()
