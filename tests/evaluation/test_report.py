"""What a network makes of a whole set of pictures."""

import dataclasses
import gc

import pytest
import torch

from cnn.data.datasets import SYNTHETIC, Split
from cnn.evaluation.report import (
    _REPORTS,
    EvaluationReport,
    evaluate,
    evaluate_test_set,
    generalization_gap,
    seconds_per_image,
)
from cnn.models import architectures, checkpoints
from cnn.models.checkpoints import Checkpoint

CLASSES = ("cat", "dog", "fox")


@pytest.fixture
def five() -> EvaluationReport:
    """Cat, cat, dog, dog, fox: the second cat and, less surely, the first dog are mistaken."""
    probabilities = torch.tensor(
        [[0.6, 0.3, 0.1], [0.0, 0.1, 0.9], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]]
    )
    split = Split(torch.zeros(5, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 0, 1, 1, 2]))
    return EvaluationReport(CLASSES, split, probabilities)


def test_each_picture_is_counted_in_the_cell_of_its_class_and_its_guess(five):
    assert five.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_the_accuracy_is_that_of_the_matrix_diagonal(five):
    assert five.accuracy == pytest.approx(3 / 5)
    assert five.per_class == pytest.approx((0.5, 0.5, 1.0))


def test_the_surest_mistake_comes_first(five):
    assert five.mistakes(9).tolist() == [1, 2]
    assert five.mistakes(1).tolist() == [1]


def test_a_cell_names_its_pictures(five):
    assert five.cell(0, 2).tolist() == [1]
    assert five.cell(2, 0).tolist() == []


def test_a_class_may_be_left_open_on_either_side(five):
    assert five.cell(actual=1).tolist() == [2]
    assert five.cell(taken_for=0).tolist() == [2, 0]
    assert five.cell().tolist() == five.mistakes(5).tolist()


def test_all_cells_together_hold_each_picture_once(five):
    cells = [five.cell(actual, guess).tolist() for actual in range(3) for guess in range(3)]
    assert sorted(sum(cells, [])) == [0, 1, 2, 3, 4]


def test_another_seed_gives_other_examples(five):
    assert sorted(five.examples(5).tolist()) == [0, 1, 2, 3, 4]
    assert five.examples(5, seed=1).tolist() != five.examples(5, seed=2).tolist()


def test_an_examination_ends_when_all_is_done_and_is_calibrated():
    checkpoint = checkpoints.load_default("checkpoints", "mnist")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (700, 1, 28, 28), dtype=torch.uint8, generator=generator)
    heard = []
    found = evaluate(checkpoint, Split(images, torch.zeros(700).long()), heard.append)
    assert heard == [500 / 700, 1.0]
    logits = checkpoint.network(images.float() / 255)
    wanted = (logits / checkpoint.card.temperature).softmax(1)
    assert found.probabilities.allclose(wanted, atol=0.1)


def test_an_answer_takes_time():
    assert 0 < seconds_per_image(checkpoints.load_default("checkpoints", "mnist")) < 5


def test_a_review_of_the_test_pictures_is_made_once_and_goes_with_its_network():
    torch.manual_seed(0)
    network = architectures.build("tiny-cnn", SYNTHETIC).eval()
    card = dataclasses.replace(
        checkpoints.load_default("checkpoints", "mnist").card, dataset="synthetic"
    )
    found = evaluate_test_set(Checkpoint(network, card))
    assert len(found.guesses) == 2_000
    assert evaluate_test_set(Checkpoint(network, card)) is found
    kept = len(_REPORTS)
    del network
    gc.collect()
    assert len(_REPORTS) == kept - 1


def row(training: float, validation: float) -> dict[str, float]:
    return {"train_accuracy": training, "validation_accuracy": validation}


def test_learning_by_heart_is_told_with_the_epoch_where_it_began():
    said = generalization_gap([row(0.9, 0.8), row(0.9, 0.89), row(0.95, 0.9), row(0.99, 0.9)])
    assert "9.0 points" in said
    assert "Since epoch 3" in said


def test_a_network_that_keeps_pace_has_not_drifted():
    assert "as well on new pictures" in generalization_gap([row(0.9, 0.8), row(0.95, 0.94)])
    assert "still learning" in generalization_gap([row(0.4, 0.4)])
    assert "before the first epoch" in generalization_gap([])
