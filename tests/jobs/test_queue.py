"""Lessons in processes of their own: who waits, who stops, who leaves, and what goes wrong."""

import math
import multiprocessing
import pickle
import time
from dataclasses import replace

import pytest

from cnn import UserError
from cnn.data import datasets
from cnn.jobs import worker
from cnn.jobs.job import TrainingJob
from cnn.jobs.queue import MAX_QUEUED, JobQueue, max_running
from cnn.jobs.worker import TEACH, _dispatch, _preload, train_remotely
from cnn.training.config import Recipe

RECIPE = Recipe(dataset="synthetic", model="quick", epochs=0.2, batch_size=1_000)
LONG = replace(RECIPE, epochs=5_000)


@pytest.fixture(scope="module")
def room():
    return JobQueue(1)


@pytest.fixture(scope="module")
def finished(room) -> TrainingJob:
    course = TrainingJob(RECIPE)
    for _ in room.attend(course):
        assert course.under_way
    return course


def _begun(room, recipe=LONG):
    """A lesson that has made its first steps, and what it goes on with."""
    course = TrainingJob(recipe)
    reports = room.attend(course)
    while not course.curve:
        next(reports)
    return course, reports


def _measured(room, *recipes) -> dict[Recipe, float]:
    """What is known once all that was asked for has been measured."""
    while room.measure(recipes):
        time.sleep(0.01)
    return dict(room.estimates)


def test_a_course_ends_with_its_network_and_a_curve_of_both_splits(finished):
    assert not finished.under_way
    assert finished.name == "mine (Synthetic digits)"
    assert finished.outcome.checkpoint.card.recipe["epochs"] == 0.2
    assert {row["split"] for row in finished.curve} == {"training", "validation"}
    steps = [row["step"] for row in finished.curve if row["split"] == "training"]
    assert steps == sorted(set(steps)) and steps[0] == 1


def test_a_course_that_goes_on_begins_where_the_other_ended(room, finished):
    course = TrainingJob(replace(RECIPE, seed=1), before=finished)
    for _ in room.attend(course):
        pass
    assert course.curve[: len(finished.curve)] == finished.curve
    for axis in ("step", "second"):
        values = [row[axis] for row in course.curve]
        assert values == sorted(values)
    assert course.curve[-1]["step"] == 2 * finished.curve[-1]["step"]


def test_to_stop_keeps_what_was_learnt(room):
    course, reports = _begun(room)
    course.stop()
    for _ in reports:
        pass
    assert course.outcome.checkpoint.card.dataset == "synthetic"
    assert course.curve[-1]["step"] < 5_000


def test_who_leaves_frees_the_seat_within_a_second(room):
    course, reports = _begun(room)
    start = time.monotonic()
    reports.close()
    assert time.monotonic() - start < 1
    assert not course.under_way and course.outcome is None
    assert _begun(room)[0].curve


def test_a_process_that_must_be_ended_has_its_successor_at_once(monkeypatch):
    strict = JobQueue(1)
    course, reports = _begun(strict)
    before = multiprocessing.active_children()
    monkeypatch.setattr(worker, "CANCEL_TIMEOUT", 0)
    reports.close()
    assert len(set(multiprocessing.active_children()) - set(before)) == 1


def test_who_comes_later_waits_and_is_told_how_long(room):
    first, taught = _begun(room)
    second = TrainingJob(RECIPE)
    waiting = room.attend(second)
    assert next(waiting) is None
    assert (room.place(first), room.place(second)) == (0, 1)
    assert room.wait(first) == 0 < room.wait(second)
    taught.close()
    for _ in waiting:
        pass
    assert second.outcome


def test_who_stops_while_waiting_leaves_the_line(room):
    _, taught = _begun(room)
    second = TrainingJob(RECIPE)
    waiting = room.attend(second)
    next(waiting)
    second.stop()
    with pytest.raises(UserError, match="left the line"):
        next(waiting)
    assert not second.under_way
    taught.close()


def test_a_line_too_long_is_said_so(room):
    waiting = [room.attend(TrainingJob(LONG)) for _ in range(1 + MAX_QUEUED)]
    for one in waiting[::-1]:
        next(one)
    with pytest.raises(UserError, match="Too many"):
        next(room.attend(TrainingJob(RECIPE)))
    for one in waiting:
        one.close()
    assert _begun(room)[0].curve


def test_a_run_that_dies_is_told_and_the_next_one_is_held(room):
    course, reports = _begun(room)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(UserError, match="has ended this run"):
        for _ in reports:
            pass
    assert not course.under_way
    assert _begun(room)[0].curve


def test_a_size_that_cannot_be_is_a_sentence_and_the_next_one_is_held(room):
    with pytest.raises(UserError, match="Choose a smaller batch size"):
        for _ in room.attend(TrainingJob(replace(LONG, batch_size=99_000))):
            pass
    assert _begun(room)[0].curve


def test_a_rate_that_explodes_is_a_sentence_and_keeps_what_was_learnt_before(room):
    course = TrainingJob(replace(LONG, learning_rate=1_000))
    for _ in room.attend(course):
        pass
    assert "Choose a learning rate below" in course.outcome.verdict


def test_a_process_started_ahead_holds_the_first_lesson():
    ready = JobQueue(1)
    before = multiprocessing.active_children()
    _measured(ready, RECIPE)
    ahead = set(multiprocessing.active_children()) - set(before)
    assert len(ahead) == 1
    _, taught = _begun(ready)
    assert set(multiprocessing.active_children()) - set(before) == ahead
    taught.close()


def test_no_more_processes_stay_than_there_are_seats():
    hasty = JobQueue(1)
    before = multiprocessing.active_children()
    hasty.measure([RECIPE])
    _, taught = _begun(hasty)
    taught.close()
    _measured(hasty, RECIPE)
    assert len(set(multiprocessing.active_children()) - set(before)) == 1


WANTS = (MemoryError(), RuntimeError("can't allocate memory"), RuntimeError("std::bad_alloc"))


@pytest.mark.parametrize("error", WANTS, ids=repr)
def test_want_of_memory_is_told_as_such_whoever_says_it(monkeypatch, error):
    def fail(*_):
        raise error

    ours, theirs = multiprocessing.Pipe()
    monkeypatch.setattr(worker, "_train", fail)
    _dispatch(theirs, TEACH, RECIPE)
    assert "more memory than there is" in str(pickle.loads(ours.recv_bytes()))


def test_while_nobody_asks_the_pictures_that_need_no_download_are_loaded(monkeypatch, tmp_path):
    ours, theirs = multiprocessing.Pipe()
    monkeypatch.setattr(datasets, "_cached", {})
    monkeypatch.setenv("CNN_DATA", str(tmp_path / "none"))
    ours.send_bytes(b"a task")
    _preload(theirs)
    assert not datasets._cached
    theirs.recv_bytes()
    _preload(theirs)
    assert {name for name, _ in datasets._cached} == {"synthetic"}
    assert not (tmp_path / "none").exists()


def test_estimates_are_measured_once(room):
    first = _measured(room, RECIPE)
    assert first[RECIPE] > 0
    assert not room.measure([RECIPE]) and room.estimates == first


def test_who_asks_for_estimates_never_waits_for_them():
    slow = JobQueue(1)
    assert slow.measure([RECIPE]) and slow.measure([RECIPE])
    assert not slow.estimates
    _measured(slow, RECIPE)


def test_nothing_is_measured_while_somebody_learns():
    busy = JobQueue(1)
    _, reports = _begun(busy)
    assert not busy.measure([RECIPE])
    reports.close()
    assert _measured(busy, RECIPE)


def test_a_lesson_that_cannot_be_held_takes_for_ever_and_the_next_is_measured(room):
    orphan, other = replace(RECIPE, teacher="nowhere.safetensors"), replace(RECIPE, seed=2)
    assert _measured(room, orphan, other)[orphan] == math.inf
    assert room.estimates[other] < math.inf


def test_a_lesson_held_to_its_end_tells_what_the_next_one_takes():
    busy = JobQueue(1)
    busy.estimates = {RECIPE: 300.0, LONG: 300.0}
    course = TrainingJob(RECIPE)
    for _ in busy.attend(course):
        pass
    stopped, reports = _begun(busy)
    stopped.stop()
    for _ in reports:
        pass
    assert busy.estimates == {RECIPE: course.curve[-1]["second"], LONG: 300.0}


def test_nobody_is_told_to_wait_for_a_measurement():
    quiet, learner = JobQueue(1), TrainingJob(RECIPE)
    quiet.measure([LONG])
    for told in quiet.attend(learner):
        assert told or quiet.wait(learner) == 0


def test_a_lent_gpu_carries_what_is_needed_to_keep_the_network():
    lent = JobQueue(1, train_remotely)
    course = TrainingJob(LONG)
    for report in lent.attend(course):
        if report.progress:
            course.stop()
    assert course.outcome.checkpoint.card.dataset == "synthetic"


def test_the_host_says_how_many_runs_there_are_at_once(monkeypatch):
    monkeypatch.delenv("CNN_TRAIN_RUNS", raising=False)
    assert max_running() == 1
    for given, seats in (("3", 3), ("0", 1), ("many", 1)):
        monkeypatch.setenv("CNN_TRAIN_RUNS", given)
        assert max_running() == seats
