"""Fine-tuning on a few drawings of one person."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.learner import checkpoint, digits, few

from cnn.data import datasets, synthetic
from cnn.data.datasets import Split
from cnn.evaluation import inference
from cnn.training import finetuning, loop, state
from cnn.training.finalize import finalize

OWN = [[np.asarray(stroke) * (-1, 1) for stroke in synthetic.example(4)]]  # a mirrored four


@pytest.fixture
def without_mnist(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_DATA", str(tmp_path))


def finetune(drawings, labels):
    splits = digits()
    mixture = finetuning.mix(splits.train, finetuning.draw_examples(drawings, labels))
    recipe = replace(finetuning.recipe(checkpoint().card), dataset="synthetic")
    run = state.start(recipe, splits._replace(train=mixture), init=checkpoint())
    for _ in loop.fit(run):
        pass
    return finalize(run)


def test_a_drawing_read_wrongly_is_learned_and_nothing_is_forgotten():
    comparison = finetuning.compare(checkpoint(), after := finetune(OWN, [9]), OWN, [9], 0.5)
    assert (comparison.examples, comparison.correct_before, comparison.correct_after) == (1, 0, 1)
    assert comparison.test_accuracy_before == 0.5
    assert comparison.test_accuracy_after == after.card.test_accuracy
    assert after.card.test_accuracy >= checkpoint().card.test_accuracy - 0.01
    assert checkpoint().network is not after.network


@pytest.mark.parametrize("count", [1, 7, 200])
def test_drawings_are_drawn_so_often_that_they_fill_their_part(count):
    examples = finetuning.draw_examples(
        OWN * count, list(range(10)) * 20 if count > 9 else [4] * count
    )
    assert finetuning.EXAMPLE_IMAGES <= len(examples) < finetuning.EXAMPLE_IMAGES + count
    assert examples.images.shape[1:] == (1, 28, 28) and examples.images.dtype == torch.uint8
    assert len(np.unique(examples.images[:2].numpy(), axis=0)) == 2


def test_copies_of_a_drawing_have_its_label():
    examples = finetuning.draw_examples(OWN * 2, [4, 9])
    middle = len(examples) // 2
    assert examples.labels[:middle].eq(4).all() and examples.labels[middle:].eq(9).all()


def test_a_mixture_has_its_fraction_of_examples_however_few_they_are():
    one = Split(torch.full((1, 1, 28, 28), 7, dtype=torch.uint8), torch.tensor([4]))
    mixture = finetuning.mix(few().train, one)
    own = (mixture.images == 7).flatten(1).all(1)
    assert own.float().mean().item() == pytest.approx(finetuning.EXAMPLES_FRACTION, abs=0.01)
    assert mixture.labels[own].eq(4).all()


def test_synthetic_digits_are_rehearsed_where_mnist_is_not_there(without_mnist):
    assert finetuning.recipe(checkpoint().card).dataset == "synthetic"


def test_the_recipe_fits_the_network_and_its_data_set():
    recipe = finetuning.recipe(checkpoint().card)
    assert recipe.model == checkpoint().card.model
    assert datasets.get_dataset(recipe.dataset).classes == checkpoint().card.classes


def test_the_initial_accuracy_is_the_cards_or_is_measured():
    test, card = digits().test, checkpoint().card
    stranger = checkpoint()._replace(card=replace(card, dataset="mnist", test_accuracy=0.1))
    logits = inference.logits(checkpoint().network, test.images)
    measured = (logits.argmax(1) == test.labels).float().mean().item()
    assert finetuning.initial_accuracy(checkpoint(), "synthetic", test) == card.test_accuracy
    assert finetuning.initial_accuracy(stranger, "synthetic", test) == pytest.approx(measured)


def test_temperature_and_threshold_stay_those_of_the_initial_network():
    card = replace(checkpoint().card, temperature=2.0, ood_threshold=3.0, ood_fitted_on="ink")
    calibrated = finetuning.keep_calibration(checkpoint(), checkpoint()._replace(card=card))
    assert calibrated.card == replace(
        checkpoint().card, temperature=2.0, ood_threshold=3.0, ood_fitted_on="ink"
    )
    assert calibrated.network is checkpoint().network
