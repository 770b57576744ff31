"""What the temperature and the out-of-distribution threshold of a model card are fitted on."""

import pytest
import torch
from torch import nn

from cnn.data import datasets, photos
from cnn.data.datasets import Split
from cnn.evaluation import inference, metrics
from cnn.evaluation.report import evaluate_for_card
from cnn.training.finalize import photo_copies


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)


def _split(images):
    return Split(images, torch.arange(len(images)) % 10)


def test_copies_changed_as_photographs_are_repeat_with_their_seed(images):
    copies = photo_copies(images, seed=3)
    assert copies.shape == images.shape
    assert copies.dtype == torch.uint8
    assert torch.equal(copies, photo_copies(images, seed=3))
    assert not torch.equal(copies, photo_copies(images, seed=4))
    assert not torch.equal(copies, images)


def test_dark_copies_are_brightened_as_the_page_brightens_photographs(images):
    copies = photo_copies(images, seed=0).float() / 255
    white = copies.amax(1).flatten(1).quantile(0.99, dim=1)
    assert (white > photos.WHITE_LEVEL - 0.02).float().mean() > 0.9


def test_the_threshold_leaves_out_a_twentieth_of_the_images_and_their_copies(network, images):
    copies = photo_copies(images, seed=0)
    figures, _ = evaluate_for_card(
        network, datasets.CIFAR10, _split(images), _split(images), copies
    )
    both = torch.cat([images, copies])
    scores = metrics.energy_score(inference.logits(network, both, "flip+translate"))
    assert (scores < figures["ood_threshold"]).float().mean() == pytest.approx(0.05, abs=0.013)


def test_copies_leave_the_validation_accuracy_as_it_is(network, images):
    arguments = network, datasets.CIFAR10, _split(images), _split(images)
    plain, _ = evaluate_for_card(*arguments)
    copied, _ = evaluate_for_card(*arguments, photo_copies(images, seed=0))
    assert copied["validation_accuracy"] == plain["validation_accuracy"]
    assert copied["ood_threshold"] != plain["ood_threshold"]
