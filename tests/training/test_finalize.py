"""The end of a run: what is kept, measured and written on its card."""

from dataclasses import replace

import torch
from support import learner

from cnn.__main__ import parse
from cnn.cli.arguments import recipe_from_arguments
from cnn.data import datasets
from cnn.data.datasets import Split
from cnn.models import architectures
from cnn.training.config import Recipe, from_dict
from cnn.training.finalize import finalize


def test_a_short_run_learns_synthetic_digits(checkpoint):
    assert checkpoint.card.test_accuracy >= 0.97
    assert checkpoint.card.validation_accuracy >= 0.95
    assert checkpoint.card.ece <= 0.05


def test_temperature_and_threshold_are_not_fitted_on_the_test_set(checkpoint):
    run, _ = learner.finished()
    test = run.splits.test
    splits = run.splits._replace(test=Split(255 - test.images, test.labels))
    card = finalize(replace(run, splits=splits)).card
    assert card.temperature == checkpoint.card.temperature
    assert card.ood_threshold == checkpoint.card.ood_threshold
    assert card.test_accuracy < checkpoint.card.test_accuracy


def test_a_checkpoint_does_not_share_weights_with_its_run():
    run = learner.train(replace(learner.BRIEF, epochs=0.2))
    network = finalize(run).network
    kept = learner.weights(network)
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.zero_()
    assert torch.equal(learner.weights(network), kept)
    assert all(parameter.requires_grad for parameter in run.network.parameters())


def test_the_card_says_how_the_network_was_trained(finished, checkpoint):
    run, reports = finished
    card = checkpoint.card
    assert from_dict(card.config) == replace(learner.RECIPE, keep="last")
    assert card.parameters == architectures.count_parameters(checkpoint.network)
    assert card.train_seconds == run.seconds == reports[-1].seconds
    assert card.train_loss == reports[-1].train_loss
    assert card.classes == datasets.SYNTHETIC.classes
    assert card.test_accuracy_tta is None
    assert len(card.history) == 3
    words = card.command.removeprefix("python -m cnn ").split()
    assert recipe_from_arguments(parse(words)) == learner.RECIPE


def test_the_card_has_the_accuracy_with_augmentation_where_flips_keep_the_class():
    run = learner.start(
        Recipe(dataset="cifar10", model="two-conv", batch_size=20), learner.photos()
    )
    assert 0 <= finalize(run).card.test_accuracy_tta <= 1


def test_without_ema_the_network_itself_is_kept():
    run = learner.start(learner.BRIEF)
    assert run.eval_model is run.network
