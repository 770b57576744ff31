"""A run may start from the weights of another."""

from dataclasses import replace

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.training.config import Recipe, for_finetuning
from cnn.training.finalize import finalize
from cnn.training.loop import fit
from cnn.training.state import start


def test_fine_tuning_starts_from_the_checkpoint_and_improves_on_it():
    run, origin = learner.start(learner.BRIEF), None
    for _ in fit(run):
        pass
    origin = finalize(run)
    before = learner.weights(origin.network)
    recipe = replace(for_finetuning(learner.BRIEF), epochs=1)
    more = start(recipe, learner.few(), learner.CPU, init=origin)
    assert torch.equal(learner.weights(more.network), before)
    *_, last = fit(more)
    assert last.train_loss < run.history[-1]["train_loss"]
    assert torch.equal(learner.weights(origin.network), before), (
        "the finished network stays as it was"
    )
    card = finalize(more).card
    assert card.train_seconds == origin.card.train_seconds + more.seconds
    earlier, later = card.command.split(" && ")
    assert earlier == origin.card.command.replace(".safetensors", "-1.safetensors")
    assert later.endswith(f"--init-from {earlier.split()[-1]}")
    assert card.history[:-1] == origin.card.history
    assert card.history[-1]["epoch"] == len(card.history)
    assert card.history[-1]["seconds"] == pytest.approx(card.train_seconds)


def test_fine_tuned_weights_are_averaged_with_the_initial_ones():
    origin = finalize(learner.start(learner.BRIEF))
    recipe = replace(for_finetuning(learner.BRIEF), epochs=1, init_fraction=0.25)
    run = start(recipe, learner.few(), learner.CPU, init=origin)
    for _ in fit(run):
        pass
    learned = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    for name, tensor in finalize(run).network.state_dict().items():
        expected = 0.75 * learned[name] + 0.25 * origin.network.state_dict()[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4)
    assert for_finetuning(recipe).init_fraction == 0


def test_an_average_with_initial_weights_needs_a_checkpoint_to_start_from():
    with pytest.raises(UserError, match="no initial weights to average with"):
        learner.start(replace(learner.BRIEF, init_fraction=0.5))


def test_fine_tuning_keeps_the_whitening_filters():
    recipe = Recipe(dataset="cifar10", model="airbench-quick", batch_size=20)
    origin = finalize(learner.start(recipe, learner.photos()))
    more = start(recipe, learner.photos(40), learner.CPU, init=origin)
    assert torch.equal(more.network.whiten.weight, origin.network.whiten.weight)


def test_starting_from_weights_of_another_network_is_an_error():
    origin = finalize(learner.start(learner.BRIEF))
    with pytest.raises(UserError, match="'two-conv'.* do not fit 'three-conv'"):
        start(learner.RECIPE, learner.few(), learner.CPU, init=origin)
