"""A run learns from the training images, and what its recipe adds to them, only."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import learner

from cnn import UserError
from cnn.data.datasets import Split, Splits
from cnn.training.config import Recipe
from cnn.training.loop import _batch


def test_validation_and_test_images_do_not_influence_the_weights():
    few = learner.few()
    upset = [Split(255 - part.images, (part.labels + 1) % 10) for part in few[1:]]
    recipe = replace(learner.BRIEF, epochs=1)
    one, other = (learner.train(recipe, splits) for splits in (few, Splits(few.train, *upset)))
    assert torch.equal(learner.weights(one.eval_model), learner.weights(other.eval_model))
    assert one.history[-1]["validation_loss"] != other.history[-1]["validation_loss"]


def test_a_batch_larger_than_the_training_set_is_an_error():
    with pytest.raises(UserError, match="501 .* 500 training images"):
        learner.start(replace(learner.BRIEF, batch_size=501))


def test_synthetic_digits_are_added_to_the_training_images_only():
    run = learner.start(replace(learner.BRIEF, dataset="mnist", extra_synthetic=40))
    few = learner.few()
    assert len(run.splits.train) == 540
    assert torch.equal(run.splits.train.images[:500], few.train.images)
    assert torch.equal(run.splits.validation.images, few.validation.images)
    assert torch.equal(run.splits.test.images, few.test.images)


def test_drawn_digits_are_added_to_training_and_held_out_ones_to_validation(tmp_path):
    points = np.array([[0, 0], [0, 90], [30, 40]] * 20, np.int16)
    starts = np.arange(20) * 3
    np.savez(
        tmp_path / "a.npz",
        points=points,
        stroke_start=starts,
        sample_start=np.arange(20),
        labels=np.array(list("1234567890" * 2)),
    )
    run = learner.start(replace(learner.BRIEF, dataset="mnist", strokes=(str(tmp_path / "a.npz"),)))
    few = learner.few()
    assert len(run.splits.train) == 500 + 2 * 18
    assert run.splits.validation.labels.tolist()[-2:] == [9, 0]
    assert len(run.splits.validation) == len(few.validation) + 2
    assert torch.equal(run.splits.test.images, few.test.images)


def test_an_image_is_flipped_in_every_other_epoch():
    recipe = Recipe(
        dataset="cifar10", model="two-conv", batch_size=20, augmentation=("alternating-flip",)
    )
    run = learner.start(recipe, learner.photos())
    everything = torch.arange(20)
    first, second, third = (_batch(run, everything, epoch)[0] for epoch in range(3))
    assert torch.equal(second, first.flip(-1))
    assert torch.equal(third, first)
    mirrored = (first != run.splits.train.images.float() / 255).flatten(1).any(1)
    assert 0 < mirrored.sum() < 20
