"""What somebody who watches a training run gets to see, and to keep."""

import pytest
import torch

from cnn import UserError, datasets, lesson
from cnn.lesson import Lesson
from cnn.training import Recipe

RECIPE = Recipe(dataset="synthetic", model="quick", epochs=1, batch_size=1_000)


@pytest.fixture(scope="module")
def followed() -> tuple[Lesson, list]:
    course = Lesson(RECIPE)
    return course, list(course.follow())


def test_the_curve_has_a_point_for_every_report(followed):
    course, reports = followed
    steps = [row["step"] for row in course.curve if row["split"] == "training"]
    assert steps == [progress.step for progress in reports]
    assert [row["step"] for row in course.curve if row["split"] == "validation"] == [9]


def test_the_first_point_comes_after_the_first_step():
    assert next(Lesson(RECIPE).follow()).step == 1


def test_the_same_eight_validation_pictures_are_watched(followed):
    course, _ = followed
    again = Lesson(RECIPE)
    assert torch.equal(course.watched().images, again.watched().images)
    assert course.opinions().shape == (8, 10)
    assert course.opinions().sum(1).allclose(torch.ones(8))


def test_the_filters_change_while_the_network_learns(followed):
    course, _ = followed
    assert course.filters().tobytes() != Lesson(RECIPE).filters().tobytes()


def test_to_stop_keeps_what_was_learnt():
    course = Lesson(RECIPE)
    for _ in course.follow():
        course.stop()
    assert course.run.step == 1
    assert course.finish().card.recipe["model"] == "quick"


def test_a_lesson_ends_when_its_time_is_up():
    course = Lesson(RECIPE, limit=1e-9)
    assert len(list(course.follow())) <= 1


def test_nothing_learnt_is_nothing_to_keep():
    with pytest.raises(UserError, match="Nothing was learnt"):
        Lesson(RECIPE).finish()


def test_a_host_sets_the_time_limit(monkeypatch):
    monkeypatch.delenv("CNN_TRAIN_SECONDS", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert lesson.time_limit() == 900
    monkeypatch.setenv("SPACE_ID", "somebody/playground")
    assert lesson.time_limit() == 60
    monkeypatch.setenv("CNN_TRAIN_SECONDS", "7.5")
    assert lesson.time_limit() == 7.5


def test_learning_by_heart_is_told(followed):
    course, _ = followed
    course.run.history[-1] |= {"train_accuracy": 0.99, "validation_accuracy": 0.9}
    assert "9.0 points" in course.verdict()
    course.run.history[-1] |= {"train_accuracy": 0.95, "validation_accuracy": 0.95}
    assert "as well on new pictures" in course.verdict()


def test_two_lessons_share_the_pictures_in_memory():
    first, second = Lesson(RECIPE), Lesson(RECIPE)
    assert first.run.splits.train.images is second.run.splits.train.images
    assert len(datasets.load(datasets.SYNTHETIC).validation) == 1_000
