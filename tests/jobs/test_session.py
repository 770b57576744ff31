"""A training session yields snapshots that can be watched, and a result that can be kept."""

import itertools
import pickle
import time
from dataclasses import replace

import pytest
import torch

from cnn import UserError
from cnn.jobs.session import (
    Snapshot,
    TrainingSession,
    describe,
    estimate_seconds,
    seconds_left,
)
from cnn.training.config import Recipe
from cnn.training.state import Progress

RECIPE = Recipe(dataset="synthetic", model="small-cnn", epochs=1, batch_size=1_000)


@pytest.fixture(scope="module")
def session_and_snapshots() -> tuple[TrainingSession, list[Snapshot]]:
    session = TrainingSession(RECIPE)
    return session, list(session.snapshots())


def test_the_first_snapshot_comes_after_the_first_step_and_has_images():
    first = next(TrainingSession(RECIPE).snapshots())
    assert first.progress.step == 1
    assert first.filters and len(first.samples.split) == 8
    assert first.network is None


def test_the_last_snapshot_has_the_result(session_and_snapshots):
    session, snapshots = session_and_snapshots
    result = snapshots[-1].result
    assert [snapshot.result for snapshot in snapshots[:-1]] == [None] * (len(snapshots) - 1)
    assert result.checkpoint.card.config["model"] == "small-cnn"
    assert result.confusion.sum() == len(session.run.splits.validation) == 1_000
    right = result.confusion.diagonal().sum() / 1_000
    assert right.item() == pytest.approx(result.checkpoint.card.validation_accuracy, abs=2e-3)
    assert len(result.per_class) == 10


def test_the_mistakes_are_wrong_and_the_most_confident_come_first(session_and_snapshots):
    samples = session_and_snapshots[1][-1].result.mistakes
    assert (samples.predictions != samples.split.labels).all()
    assert samples.probabilities.tolist() == sorted(samples.probabilities.tolist(), reverse=True)


def test_a_divergence_ends_with_what_was_learned_before():
    session = TrainingSession(
        replace(RECIPE, optimizer="sgd", learning_rate=1_000.0, weight_decay=10.0)
    )
    *_, last = session.snapshots()
    assert "learning rate below 1000" in last.result.summary
    assert 0 < session.run.step < session.run.steps
    network = last.result.checkpoint.network
    assert all(weights.isfinite().all() for weights in network.parameters())


def test_a_snapshot_says_what_the_run_is_doing(session_and_snapshots):
    snapshots = session_and_snapshots[1]
    assert [snapshot.phase for snapshot in snapshots[-3:]] == ["training", "testing", "done"]
    assert Snapshot(loading=0.5).phase == "loading"
    assert Snapshot(testing=0.0).phase == "testing"


def test_the_final_evaluation_tells_how_much_of_it_is_done():
    fractions = []
    session = TrainingSession(replace(RECIPE, epochs=0.1), on_testing=fractions.append)
    last = list(session.snapshots())[-1]
    assert last.result and len(fractions) > 2
    assert fractions == sorted(fractions) and fractions[0] > 0 and fractions[-1] == 1


def test_the_samples_are_always_the_same_eight_validation_images(session_and_snapshots):
    again = TrainingSession(RECIPE)
    validation = session_and_snapshots[0].run.splits.validation[:8]
    for samples in (session_and_snapshots[1][0].samples, again.samples()):
        assert torch.equal(samples.split.images, validation.images)
        assert samples.probabilities.min() >= 0.1 and samples.probabilities.max() <= 1


def test_the_filters_change_during_training(session_and_snapshots):
    snapshots = session_and_snapshots[1]
    assert snapshots[0].filters.tobytes() != snapshots[-2].filters.tobytes()


def test_a_snapshot_can_be_sent_to_another_process(session_and_snapshots):
    for snapshot in session_and_snapshots[1]:
        again = pickle.loads(pickle.dumps(snapshot))
        assert again.progress == snapshot.progress
    assert again.result.checkpoint.card == session_and_snapshots[1][-1].result.checkpoint.card


def test_stopping_keeps_what_was_learned():
    session = TrainingSession(RECIPE)
    snapshots = session.snapshots()
    next(snapshots)
    session.stop()
    *_, last = snapshots
    assert session.run.step == 1
    assert last.result.checkpoint.card.config["model"] == "small-cnn"


def test_a_session_can_be_finished_from_a_snapshot_with_weights():
    here, there = TrainingSession(RECIPE), TrainingSession(RECIPE)
    snapshot = next(there.snapshots(include_weights=True))
    here.restore(snapshot)
    result = here.result()
    assert here.run.step == 1
    for mine, theirs in zip(
        result.checkpoint.network.parameters(), snapshot.network.parameters(), strict=True
    ):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-6)


def test_a_session_starts_from_the_weights_of_a_checkpoint(session_and_snapshots):
    before = session_and_snapshots[1][-1].result.checkpoint
    session = TrainingSession(replace(RECIPE, learning_rate=1e-9), init=before)
    *_, snapshot = session.snapshots()
    assert snapshot.result.checkpoint.card.validation_accuracy == pytest.approx(
        before.card.validation_accuracy, abs=0.05
    )
    assert snapshot.result.checkpoint.card.train_seconds > before.card.train_seconds


def test_a_session_ends_when_its_time_is_up():
    assert len(list(TrainingSession(RECIPE, limit=1e-9).train())) <= 1


def test_a_session_without_a_step_has_no_result():
    with pytest.raises(UserError, match="Nothing was learned"):
        TrainingSession(RECIPE).result()


def test_the_time_left_ends_with_the_time_limit(monkeypatch):
    monkeypatch.setenv("CNN_TRAIN_SECONDS", "60")
    progress = Progress(10, 30, 1, 20.0, 0.1, 1.0, 0.5, None, None, 100.0)
    assert seconds_left(progress) == 40
    assert seconds_left(replace(progress, steps=3_000)) == 40
    assert seconds_left(replace(progress, steps=20)) == 20
    assert "about 40 s left" in describe(progress)


def test_a_benchmark_can_be_cancelled():
    assert estimate_seconds(RECIPE, cancelled=lambda: True) is None


def test_twice_the_epochs_need_twice_the_seconds(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", itertools.count(step=0.01).__next__)
    once = estimate_seconds(RECIPE)
    twice = estimate_seconds(replace(RECIPE, epochs=2 * RECIPE.epochs))
    assert twice == pytest.approx(2 * once)
