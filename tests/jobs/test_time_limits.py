"""Limits of training jobs: whose they are, who watches, and workers that die or fall silent."""

import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cnn import UserError
from cnn.jobs import worker
from cnn.jobs.job import TrainingJob
from cnn.jobs.queue import MAX_BENCHMARKS, MAX_QUEUED, JobQueue
from cnn.jobs.session import Snapshot
from cnn.jobs.worker import WorkerDiedError, WorkerProcess
from cnn.training.config import Recipe

RECIPE = Recipe(dataset="synthetic", epochs=0.2)


class EndlessQueue(JobQueue):
    """A queue whose runs go on until they are cancelled, without a worker."""

    def __init__(self):
        super().__init__(1)
        self.closed = 0

    def _run_locally(self, job):
        try:
            while True:
                yield Snapshot()
        finally:
            self.closed += 1


def _job(owner: str | None = None, address: str | None = None) -> TrainingJob:
    job = TrainingJob(RECIPE)
    job.owner, job.address = owner, address
    return job


def test_a_cancelled_run_ends_at_once_and_frees_its_slot():
    queue = EndlessQueue()
    job = _job()
    snapshots = queue.stream(job)
    next(snapshots)
    job.cancel()
    with pytest.raises(UserError, match="cancelled"):
        next(snapshots)
    assert queue.closed == 1
    assert not job.running
    next(queue.stream(_job()))


def test_a_cancelled_job_leaves_the_queue_before_it_begins(monkeypatch):
    monkeypatch.setattr("cnn.jobs.queue.QUEUE_POLL_SECONDS", 0)
    queue = EndlessQueue()
    running = queue.stream(_job())
    next(running)
    job = _job()
    waiting = queue.stream(job)
    assert next(waiting) is None
    job.cancel()
    with pytest.raises(UserError, match="cancelled"):
        next(waiting)
    assert not job.running
    running.close()
    assert queue.closed == 1


def test_an_owner_has_one_job_at_a_time():
    queue = EndlessQueue()
    first = queue.stream(_job("me"))
    next(first)
    with pytest.raises(UserError, match="already"):
        next(queue.stream(_job("me")))
    first.close()
    next(queue.stream(_job("me")))


def test_one_address_has_at_most_half_of_the_queue(monkeypatch):
    monkeypatch.setattr("cnn.jobs.queue.QUEUE_POLL_SECONDS", 0)
    queue, streams = EndlessQueue(), []

    def start(owner: str, address: str) -> None:
        streams.append(queue.stream(_job(owner, address)))
        next(streams[-1])

    half = (1 + MAX_QUEUED) // 2
    for number in range(half):
        start(f"greedy {number}", "192.0.2.1")
    with pytest.raises(UserError, match="network"):
        start("greedy", "192.0.2.1")
    start("another", "192.0.2.2")
    for stream in streams:
        stream.close()


class DyingQueue(JobQueue):
    """A queue whose workers die while they benchmark."""

    def __init__(self):
        super().__init__(1)
        self.benchmarks = 0

    @contextmanager
    def _worker(self):
        queue = self

        class Worker:
            def submit(self, _):
                queue.benchmarks += 1
                raise WorkerDiedError("The system has ended this run.")

        yield Worker()


def test_a_recipe_whose_worker_died_is_benchmarked_three_times():
    queue = DyingQueue()
    for attempt in range(1, MAX_BENCHMARKS + 3):
        while queue.estimate_durations([RECIPE]):
            time.sleep(0.001)
            if queue.benchmarks >= MAX_BENCHMARKS:
                break
        if attempt < MAX_BENCHMARKS and queue.benchmarks < MAX_BENCHMARKS:
            assert RECIPE not in queue.estimates
    while queue.estimate_durations([RECIPE]):
        time.sleep(0.001)
    assert queue.benchmarks == MAX_BENCHMARKS
    assert queue.estimates[RECIPE] == math.inf


def _sleep(connection) -> None:
    """Stand in for a worker whose step takes an hour."""
    time.sleep(3_600)


def test_a_silent_worker_is_killed(monkeypatch):
    monkeypatch.setattr(worker, "worker_main", _sleep)
    monkeypatch.setattr(worker, "SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(worker.settings, "train_seconds", lambda: 0.5)
    process = WorkerProcess()
    with pytest.raises(WorkerDiedError, match="too long"):
        for _ in process.submit(object()):
            pass
    assert not process.is_alive()


def _tell_priority(connection) -> None:
    """Stand in for a worker that only says how nice it is."""
    worker._lower_priority()
    connection.send_bytes(pickle.dumps(os.getpriority(os.PRIO_PROCESS, 0)))


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="Windows has no niceness")
def test_a_worker_has_the_least_priority_of_all(monkeypatch):
    monkeypatch.setattr(worker, "worker_main", _tell_priority)
    process = WorkerProcess()
    assert process._receive(60) == 19
    process.kill()


def test_a_fork_server_that_is_gone_does_not_keep_jobs_from_running(monkeypatch):
    started = []

    class Context:
        def __init__(self, name):
            self.name = name

        Pipe = staticmethod(multiprocessing.Pipe)

        def set_forkserver_preload(self, _):
            pass

        def Process(self, **_):  # noqa: N802
            started.append(self.name)
            return self

        def start(self):
            if self.name == "forkserver":
                raise FileNotFoundError("the socket is gone")

    monkeypatch.setattr(multiprocessing, "get_context", Context)
    WorkerProcess()
    assert started == ["forkserver", "spawn"]


def test_repeated_names_in_a_recipe_are_refused():
    with pytest.raises(UserError, match="twice"):
        replace(RECIPE, augmentation=("affine",) * 60_000)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads Linux's list of processes")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_server(number):
    program = """
        import time
        from cnn.jobs.worker import WorkerProcess
        if __name__ == "__main__":
            worker = WorkerProcess()
            print(worker._process.pid, flush=True)
            time.sleep(600)
    """
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "CNN_DATA": "nowhere"},
    ) as server:
        pid = int(server.stdout.readline())
        os.kill(server.pid, number)
        server.wait()
        deadline = time.monotonic() + 60
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
