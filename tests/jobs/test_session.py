"""What somebody who watches a training run gets to see, and to keep."""

import itertools
import pickle
import time
from dataclasses import replace

import pytest
import torch

from cnn import UserError, hardware
from cnn.jobs.session import (
    Snapshot,
    TrainingSession,
    describe,
    estimate_seconds,
    seconds_left,
    time_limit,
)
from cnn.training.config import Recipe
from cnn.training.state import Progress

RECIPE = Recipe(dataset="synthetic", model="quick", epochs=1, batch_size=1_000)


@pytest.fixture(scope="module")
def told() -> tuple[TrainingSession, list[Snapshot]]:
    held = TrainingSession(RECIPE)
    return held, list(held.reports())


def test_the_first_report_comes_after_the_first_step_and_has_pictures():
    first = next(TrainingSession(RECIPE).reports())
    assert first.progress.step == 1
    assert first.filters and len(first.look.split) == 8
    assert first.network is None


def test_the_last_report_brings_what_came_of_it(told):
    held, reports = told
    outcome = reports[-1].outcome
    assert [report.outcome for report in reports[:-1]] == [None] * (len(reports) - 1)
    assert outcome.checkpoint.card.recipe["model"] == "quick"
    assert outcome.confusion.sum() == len(held.run.splits.validation) == 1_000
    right = outcome.confusion.diagonal().sum() / 1_000
    assert right.item() == pytest.approx(outcome.checkpoint.card.validation_accuracy, abs=2e-3)
    assert len(outcome.per_class) == 10


def test_the_mistakes_are_wrong_and_the_surest_come_first(told):
    look = told[1][-1].outcome.mistakes
    assert (look.guesses != look.split.labels).all()
    assert look.shares.tolist() == sorted(look.shares.tolist(), reverse=True)


def test_a_lesson_whose_loss_explodes_ends_with_what_was_learnt_before():
    held = TrainingSession(
        replace(RECIPE, optimizer="sgd", learning_rate=1_000.0, weight_decay=10.0)
    )
    *_, last = held.reports()
    assert "learning rate below 1000" in last.outcome.verdict
    assert 0 < held.run.step < held.run.steps
    network = last.outcome.checkpoint.network
    assert all(weights.isfinite().all() for weights in network.parameters())


def test_the_same_eight_validation_pictures_are_watched(told):
    again = TrainingSession(RECIPE)
    watched = told[0].run.splits.validation[:8]
    for look in (told[1][0].look, again.look()):
        assert torch.equal(look.split.images, watched.images)
        assert look.shares.min() >= 0.1 and look.shares.max() <= 1


def test_the_filters_change_while_the_network_learns(told):
    reports = told[1]
    assert reports[0].filters.tobytes() != reports[-1].filters.tobytes()


def test_a_report_can_cross_to_another_process(told):
    for report in told[1]:
        again = pickle.loads(pickle.dumps(report))
        assert again.progress == report.progress
    assert again.outcome.checkpoint.card == told[1][-1].outcome.checkpoint.card


def test_to_stop_keeps_what_was_learnt():
    held = TrainingSession(RECIPE)
    reports = held.reports()
    next(reports)
    held.stop()
    *_, last = reports
    assert held.run.step == 1
    assert last.outcome.checkpoint.card.recipe["model"] == "quick"


def test_who_carries_a_network_away_can_finish_it_elsewhere():
    here, there = TrainingSession(RECIPE), TrainingSession(RECIPE)
    report = next(there.reports(carry=True))
    here.take_up(report)
    outcome = here.finish()
    assert here.run.step == 1
    for mine, carried in zip(
        outcome.checkpoint.network.parameters(), report.network.parameters(), strict=True
    ):
        assert torch.equal(mine, carried)


def test_a_lesson_goes_on_from_the_weights_of_another(told):
    before = told[1][-1].outcome.checkpoint
    held = TrainingSession(replace(RECIPE, learning_rate=1e-9), origin=before)
    *_, report = held.reports()
    assert report.outcome.checkpoint.card.validation_accuracy == pytest.approx(
        before.card.validation_accuracy, abs=0.05
    )
    assert report.outcome.checkpoint.card.seconds > before.card.seconds


def test_a_lesson_ends_when_its_time_is_up():
    assert len(list(TrainingSession(RECIPE, limit=1e-9).follow())) <= 1


def test_nothing_learnt_is_nothing_to_keep():
    with pytest.raises(UserError, match="Nothing was learnt"):
        TrainingSession(RECIPE).finish()


def test_a_host_sets_the_time_limit(monkeypatch):
    monkeypatch.delenv("CNN_TRAIN_SECONDS", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert time_limit() == 900
    monkeypatch.setenv("SPACE_ID", "somebody/playground")
    assert time_limit() == 60
    monkeypatch.setenv("CNN_TRAIN_SECONDS", "7.5")
    assert time_limit() == 7.5


def test_the_time_left_ends_with_the_time_of_a_lesson(monkeypatch):
    monkeypatch.setenv("CNN_TRAIN_SECONDS", "60")
    progress = Progress(10, 30, 1, 20.0, 0.1, 1.0, 0.5, None, None, 100.0)
    assert seconds_left(progress) == 40
    assert seconds_left(replace(progress, steps=3_000)) == 40
    assert seconds_left(replace(progress, steps=20)) == 20
    assert "about 40 s left" in describe(progress)


def test_what_is_more_urgent_ends_the_measuring():
    assert estimate_seconds(RECIPE, until=lambda: True) is None


def test_twice_the_epochs_need_twice_the_seconds(monkeypatch):
    hardware.amp_dtype(torch.device("cpu"))
    monkeypatch.setattr(time, "perf_counter", itertools.count(step=0.001).__next__)
    once = estimate_seconds(RECIPE)
    twice = estimate_seconds(replace(RECIPE, epochs=2 * RECIPE.epochs))
    assert twice == pytest.approx(2 * once)
