"""A training job that goes on while nobody watches it for a moment."""

import itertools
import threading

import pytest
from support.learner import BRIEF

from cnn import UserError
from cnn.jobs import background
from cnn.jobs.background import BackgroundRun
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import Snapshot
from cnn.training.state import Progress

DEADLINE = 30  # seconds, of a run that should have ended


def snapshot(step: int, **views) -> Snapshot:
    return Snapshot(progress=Progress(step, 9, 1, 1.0, 0.01, 1.0, 0.5, None, None, 100.0), **views)


class Steps:
    """In place of a queue: yields a snapshot for each step that a test lets it take."""

    def __init__(self, *snapshots):
        self.snapshots = snapshots
        self.allowed = threading.Semaphore(0)
        self.closed = threading.Event()

    def stream(self, job):
        try:
            for each in self.snapshots:
                self.allowed.acquire(timeout=DEADLINE)
                if isinstance(each, Exception):
                    raise each
                if job.cancelled:
                    raise UserError("cancelled")
                yield each
        finally:
            self.closed.set()


def test_a_run_is_watched_again_from_its_latest_snapshot_and_finished_once():
    queue, results = Steps(snapshot(1, filters="first"), snapshot(2), snapshot(3)), []
    run = BackgroundRun(TrainingJob(BRIEF), queue, results.append)
    watcher = run.watch()
    queue.allowed.release()
    assert next(filter(None, watcher)).progress.step == 1
    watcher.close()  # the page is loaded again
    queue.allowed.release()
    another = run.watch()
    latest = next(shown for shown in another if shown and shown.progress.step == 2)
    assert latest.filters == "first"
    queue.allowed.release()
    list(another)
    assert run.ended and results == [run.job]


def test_what_ends_a_run_early_is_raised_where_it_is_watched():
    queue, results = Steps(snapshot(1), UserError("The loss is not finite.")), []
    run = BackgroundRun(TrainingJob(BRIEF), queue, results.append)
    queue.allowed.release(2)
    with pytest.raises(UserError, match="not finite"):
        list(run.watch())
    assert run.ended and not results


def test_a_run_that_nobody_watches_is_cancelled(monkeypatch):
    monkeypatch.setattr(background, "ABANDONED_SECONDS", 0.0)
    queue, results = Steps(*(None for _ in range(1_000))), []
    run = BackgroundRun(TrainingJob(BRIEF), queue, results.append)
    queue.allowed.release(1_000)
    assert queue.closed.wait(DEADLINE)
    assert run.job.cancelled and not results


def test_a_run_that_is_watched_is_not_cancelled(monkeypatch):
    monkeypatch.setattr(background, "ABANDONED_SECONDS", 0.0)
    queue = Steps(*(snapshot(step) for step in range(1, 9)))
    run = BackgroundRun(TrainingJob(BRIEF), queue, lambda job: None)
    watcher = run.watch()
    next(watcher)
    queue.allowed.release(8)
    for _ in itertools.takewhile(lambda _: not run.ended, watcher):
        pass
    assert not run.job.cancelled
