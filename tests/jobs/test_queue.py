"""Training jobs: which run, wait, stop or fail, and what happens to their workers."""

import math
import multiprocessing
import pickle
import time
from dataclasses import replace

import pytest
import torch

from cnn import UserError, hardware
from cnn.data import datasets
from cnn.evaluation import inference
from cnn.jobs import worker
from cnn.jobs.job import TrainingJob
from cnn.jobs.messages import Failure, Train
from cnn.jobs.queue import MAX_QUEUED, JobQueue
from cnn.jobs.worker import _cap_memory, _dispatch, _preload, train_remotely
from cnn.training.config import Recipe

RECIPE = Recipe(dataset="synthetic", model="small-cnn", epochs=0.2, batch_size=1_000)
LONG = replace(RECIPE, epochs=5_000)


@pytest.fixture(scope="module")
def queue():
    return JobQueue(1)


@pytest.fixture(scope="module")
def finished(queue) -> TrainingJob:
    job = TrainingJob(RECIPE)
    for _ in queue.stream(job):
        assert job.running
    return job


def _start(queue, recipe=LONG):
    """Start a job and return it after its first steps, with the rest of its snapshots."""
    job = TrainingJob(recipe)
    snapshots = queue.stream(job)
    while not job.metrics:
        next(snapshots)
    return job, snapshots


def _estimate(queue, *recipes) -> dict[Recipe, float]:
    """Return the estimates once the recipes have been benchmarked."""
    while queue.estimate_durations(recipes):
        time.sleep(0.01)
    return dict(queue.estimates)


def test_a_finished_job_has_its_network_and_metrics_of_both_splits(finished):
    assert not finished.running
    assert finished.name == "mine (Synthetic digits)"
    assert finished.result.checkpoint.card.config["epochs"] == 0.2
    assert {row["split"] for row in finished.metrics} == {"train", "validation"}
    steps = [row["step"] for row in finished.metrics if row["split"] == "train"]
    assert steps == sorted(set(steps)) and steps[0] == 1


def test_a_continued_job_starts_where_its_parent_ended(queue, finished):
    job = TrainingJob(replace(RECIPE, seed=1), parent=finished)
    for _ in queue.stream(job):
        pass
    assert job.metrics[: len(finished.metrics)] == finished.metrics
    for axis in ("step", "seconds"):
        values = [row[axis] for row in job.metrics]
        assert values == sorted(values)
    assert job.metrics[-1]["step"] == 2 * finished.metrics[-1]["step"]


def test_stopping_keeps_what_was_learned(queue):
    job, snapshots = _start(queue)
    job.stop()
    for _ in snapshots:
        pass
    assert job.result.checkpoint.card.dataset == "synthetic"
    assert job.metrics[-1]["step"] < 5_000


def test_cancelling_frees_the_slot_within_a_second(queue):
    job, snapshots = _start(queue)
    start = time.monotonic()
    snapshots.close()
    assert time.monotonic() - start < 1
    assert not job.running and job.result is None
    assert _start(queue)[0].metrics


def test_a_worker_that_is_killed_is_replaced_at_once(monkeypatch):
    strict = JobQueue(1)
    job, snapshots = _start(strict)
    before = multiprocessing.active_children()
    monkeypatch.setattr(worker, "CANCEL_TIMEOUT", 0)
    snapshots.close()
    assert len(set(multiprocessing.active_children()) - set(before)) == 1


def test_a_queued_job_waits_and_has_an_estimate(queue):
    first, snapshots = _start(queue)
    second = TrainingJob(RECIPE)
    waiting = queue.stream(second)
    assert next(waiting) is None
    assert (queue.position(first), queue.position(second)) == (0, 1)
    assert queue.eta(first) == 0 < queue.eta(second)
    snapshots.close()
    for _ in waiting:
        pass
    assert second.result


def test_an_estimate_is_rewritten_by_the_measured_pace_while_the_run_goes_on():
    queue = JobQueue(1)
    queue.estimates[RECIPE] = 1e6
    for snapshot in queue.stream(TrainingJob(RECIPE)):
        if snapshot and snapshot.progress:
            break
    assert 0 < queue.estimates[RECIPE] < 1e5


def test_stopping_a_queued_job_removes_it_from_the_queue(queue):
    _, snapshots = _start(queue)
    second = TrainingJob(RECIPE)
    waiting = queue.stream(second)
    next(waiting)
    second.stop()
    with pytest.raises(UserError, match="left the queue"):
        next(waiting)
    assert not second.running
    snapshots.close()


def test_a_full_queue_is_an_error(queue):
    waiting = [queue.stream(TrainingJob(LONG)) for _ in range(1 + MAX_QUEUED)]
    for one in waiting[::-1]:
        next(one)
    with pytest.raises(UserError, match="Too many"):
        next(queue.stream(TrainingJob(RECIPE)))
    for one in waiting:
        one.close()
    assert _start(queue)[0].metrics


def test_a_run_that_dies_is_an_error_and_the_next_one_runs(queue):
    job, snapshots = _start(queue)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(UserError, match="has ended this run"):
        for _ in snapshots:
            pass
    assert not job.running
    assert _start(queue)[0].metrics


def test_a_size_that_cannot_be_is_a_sentence_and_the_next_one_is_held(queue):
    with pytest.raises(UserError, match="Choose a smaller batch size"):
        for _ in queue.stream(TrainingJob(replace(LONG, batch_size=99_000))):
            pass
    assert _start(queue)[0].metrics


def test_a_divergence_is_summarized_and_keeps_what_was_learned_before(queue):
    job = TrainingJob(replace(LONG, learning_rate=1_000))
    for _ in queue.stream(job):
        pass
    assert "Choose a learning rate below" in job.result.summary


def test_the_benchmarks_worker_runs_the_first_job():
    ready = JobQueue(1)
    before = multiprocessing.active_children()
    _estimate(ready, RECIPE)
    ahead = set(multiprocessing.active_children()) - set(before)
    assert len(ahead) == 1
    _, snapshots = _start(ready)
    assert set(multiprocessing.active_children()) - set(before) == ahead
    snapshots.close()


def test_no_more_workers_stay_than_may_run_at_once():
    queue = JobQueue(1)
    before = multiprocessing.active_children()
    queue.estimate_durations([RECIPE])
    _, snapshots = _start(queue)
    snapshots.close()
    _estimate(queue, RECIPE)
    assert len(set(multiprocessing.active_children()) - set(before)) == 1


OUT_OF_MEMORY = (
    MemoryError(),
    RuntimeError("can't allocate memory"),
    RuntimeError("std::bad_alloc"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
def test_every_kind_of_out_of_memory_error_is_recognized(monkeypatch, error):
    def fail(*_):
        raise error

    ours, theirs = multiprocessing.Pipe()
    monkeypatch.setattr(worker, "_train", fail)
    _dispatch(theirs, Train(RECIPE))
    reply = pickle.loads(ours.recv_bytes())
    assert isinstance(reply, Failure) and "more memory than there is" in reply.message


def test_an_idle_worker_preloads_what_needs_no_download(monkeypatch, tmp_path):
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


def test_a_recipe_is_benchmarked_once(queue):
    first = _estimate(queue, RECIPE)
    assert first[RECIPE] > 0
    assert not queue.estimate_durations([RECIPE]) and queue.estimates == first


def test_asking_for_estimates_does_not_wait_for_them():
    slow = JobQueue(1)
    assert slow.estimate_durations([RECIPE]) and slow.estimate_durations([RECIPE])
    assert not slow.estimates
    _estimate(slow, RECIPE)


def test_nothing_is_benchmarked_while_a_job_runs():
    busy = JobQueue(1)
    _, snapshots = _start(busy)
    assert not busy.estimate_durations([RECIPE])
    snapshots.close()
    assert _estimate(busy, RECIPE)


def test_a_recipe_that_cannot_run_has_an_infinite_estimate_and_the_next_is_benchmarked(queue):
    orphan, other = replace(RECIPE, teacher="nowhere.safetensors"), replace(RECIPE, seed=2)
    assert _estimate(queue, orphan, other)[orphan] == math.inf
    assert queue.estimates[other] < math.inf


def test_a_finished_run_replaces_its_estimate():
    busy = JobQueue(1)
    busy.estimates = {RECIPE: 300.0, LONG: 300.0}
    job = TrainingJob(RECIPE)
    for _ in busy.stream(job):
        pass
    stopped, snapshots = _start(busy)
    stopped.stop()
    for _ in snapshots:
        pass
    assert busy.estimates == {RECIPE: job.metrics[-1]["seconds"], LONG: 300.0}


def test_a_job_does_not_wait_for_a_benchmark():
    quiet, job = JobQueue(1), TrainingJob(RECIPE)
    quiet.estimate_durations([LONG])
    for snapshot in quiet.stream(job):
        assert snapshot or quiet.eta(job) == 0


def test_a_stopped_remote_job_is_finished_from_its_last_snapshot():
    remote = JobQueue(1, train_remotely)
    job = TrainingJob(LONG)
    for snapshot in remote.stream(job):
        if snapshot.progress:
            job.stop()
    assert job.result.checkpoint.card.dataset == "synthetic"


def test_a_jobs_parent_is_kept_and_not_guessed_from_equal_losses(finished):
    twin, child = TrainingJob(RECIPE), TrainingJob(RECIPE, parent=finished)
    twin.metrics = list(finished.metrics)
    assert twin.parent is None
    assert child.parent is finished and child.init is finished.result.checkpoint


def test_a_job_without_its_weights_keeps_metrics_and_card(finished):
    job = TrainingJob(RECIPE, parent=finished)
    job.result = finished.result
    job.drop_weights()
    assert job.init is None and not list(job.result.checkpoint.network.parameters())
    assert job.result.checkpoint.card == finished.result.checkpoint.card
    assert list(finished.result.checkpoint.network.parameters())


def test_a_job_trains_on_somebodys_examples(queue):
    images = torch.zeros(10, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 10:18, 10:18] = 255  # a square, labelled as a seven
    examples = datasets.Split(images, torch.full((10,), 7))
    job = TrainingJob(replace(RECIPE, epochs=3, batch_size=100), examples=examples)
    for _ in queue.stream(job):
        pass
    logits = inference.logits(job.result.checkpoint.network, images)
    assert (logits.argmax(1) == 7).all()


@pytest.mark.parametrize("hard", ["infinity", 3 * 2**30, 2**20])
def test_a_worker_caps_its_memory_below_a_limit_that_is_set_already(monkeypatch, hard):
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    hard = resource.RLIM_INFINITY if hard == "infinity" else hard
    monkeypatch.setattr(resource, "getrlimit", lambda _: (hard, hard))
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    _cap_memory()
    ((soft, kept),) = limits
    assert kept == hard
    assert 0 < soft <= hardware.memory_limit() // 2
    assert hard == resource.RLIM_INFINITY or soft <= hard
