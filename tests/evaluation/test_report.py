"""The evaluation report of a network on a set of images."""

import copy
import dataclasses
import gc
import weakref

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.data import datasets
from cnn.data.datasets import SYNTHETIC
from cnn.evaluation.report import (
    EvaluationReport,
    evaluate,
    evaluate_test_set,
    generalization_gap,
    seconds_per_image,
)
from cnn.models import architectures
from cnn.models.checkpoints import Checkpoint

CLASSES = ("cat", "dog", "fox")


@pytest.fixture
def five() -> EvaluationReport:
    """Cat, cat, dog, dog, fox: the second cat and, less confidently, the first dog are wrong."""
    return EvaluationReport(
        CLASSES,
        labels=torch.tensor([0, 0, 1, 1, 2]),
        predictions=torch.tensor([0, 2, 0, 1, 2]),
        confidence=torch.tensor([0.6, 0.9, 0.7, 0.8, 0.5]),
    )


def test_each_image_is_counted_in_the_cell_of_its_true_and_predicted_class(five):
    assert five.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_accuracy_recall_and_precision_are_those_of_the_matrix(five):
    assert five.accuracy == pytest.approx(3 / 5)
    assert five.recall == pytest.approx((0.5, 0.5, 1.0))
    assert five.precision == pytest.approx((0.5, 1.0, 0.5))


def test_the_most_confident_mistake_comes_first(five):
    assert five.mistakes(9).tolist() == [1, 2]
    assert five.mistakes(1).tolist() == [1]


def test_a_cell_lists_its_images(five):
    assert five.cell_indices(0, 2).tolist() == [1]
    assert five.cell_indices(2, 0).tolist() == []


def test_a_class_may_be_left_open_on_either_side(five):
    assert five.cell_indices(true=1).tolist() == [2]
    assert five.cell_indices(predicted=0).tolist() == [2, 0]
    assert five.cell_indices().tolist() == five.mistakes(5).tolist()


def test_all_cells_together_hold_each_image_once(five):
    cells = [five.cell_indices(row, column).tolist() for row in range(3) for column in range(3)]
    assert sorted(sum(cells, [])) == [0, 1, 2, 3, 4]


def test_another_seed_gives_other_examples(five):
    assert sorted(five.examples(5).tolist()) == [0, 1, 2, 3, 4]
    assert five.examples(5, seed=1).tolist() != five.examples(5, seed=2).tolist()


def test_an_evaluation_reports_its_progress_and_is_calibrated():
    checkpoint, split = learner.checkpoint(), learner.digits().test
    fractions = []
    report = evaluate(checkpoint, split, fractions.append)
    assert fractions == [500 / 700, 1.0]
    logits = checkpoint.network(split.images.float() / 255)
    expected = (logits / checkpoint.card.temperature).softmax(1).amax(1)
    assert report.confidence.allclose(expected, atol=1e-4)


def test_an_evaluation_agrees_with_the_card_and_the_predictions_in_the_file():
    checkpoint = learner.checkpoint()
    report = evaluate(checkpoint, learner.digits().test)
    assert report.accuracy == pytest.approx(checkpoint.card.test_accuracy)
    assert torch.equal(report.predictions, checkpoint.predictions.classes)


def test_a_prediction_takes_time():
    assert 0 < seconds_per_image(learner.checkpoint()) < 5


def test_a_test_set_is_evaluated_once_and_the_report_goes_with_its_network():
    torch.manual_seed(0)
    network = architectures.build("tiny-cnn", SYNTHETIC).eval()
    card = dataclasses.replace(learner.checkpoint().card, model="tiny-cnn")
    report = evaluate_test_set(Checkpoint(network, card))
    assert len(report.predictions) == 2_000
    assert evaluate_test_set(Checkpoint(network, card)) is report
    kept = weakref.ref(report)
    del network, report
    gc.collect()
    assert kept() is None


def test_the_predictions_in_the_file_suffice_without_the_images(monkeypatch):
    def missing(dataset):
        raise UserError("not here")

    monkeypatch.setattr(datasets, "load_test", missing)
    checkpoint = learner.checkpoint()
    other = Checkpoint(copy.deepcopy(checkpoint.network), checkpoint.card, checkpoint.predictions)
    report = evaluate_test_set(other)
    assert report.images is None
    assert report.accuracy == pytest.approx(checkpoint.card.test_accuracy)


def row(training: float, validation: float) -> dict[str, float]:
    return {"train_accuracy": training, "validation_accuracy": validation}


def test_overfitting_is_reported_with_the_epoch_where_it_began():
    sentence = generalization_gap([row(0.9, 0.8), row(0.9, 0.89), row(0.95, 0.9), row(0.99, 0.9)])
    assert "9.0 points" in sentence
    assert "since epoch 3" in sentence


def test_a_network_that_keeps_pace_does_not_overfit():
    assert "does not overfit" in generalization_gap([row(0.9, 0.8), row(0.95, 0.94)])
    assert "still learning" in generalization_gap([row(0.4, 0.4)])
    assert "before the end of the first epoch" in generalization_gap([])
