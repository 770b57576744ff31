"""A queue of training jobs: how many run at once, who waits, and for how long."""

import contextlib
import math
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator

import torch

from cnn import UserError, settings
from cnn.data import datasets
from cnn.jobs.job import TrainingJob
from cnn.jobs.messages import Benchmark, Cancel, Estimate, Stop, Train
from cnn.jobs.session import Snapshot, TrainingSession
from cnn.jobs.worker import WorkerDiedError, WorkerProcess
from cnn.training.config import Recipe
from cnn.training.state import Progress

MAX_QUEUED = 10
MAX_BENCHMARKS = 3  # of a recipe whose worker died, which may have been another's fault
CANCELLED = "This run was cancelled, as its page was closed."
QUEUE_POLL_SECONDS = 1.0  # each poll costs the page some milliseconds
DEFAULT_ESTIMATE = 20.0  # seconds, of a run that was never benchmarked


class JobQueue:
    """Runs up to `max_running` jobs at once, in order of arrival; `MAX_QUEUED` more may wait.

    An owner has one job at a time, and one address at most half of all places.
    Jobs run in worker processes, or through `remote`, where the host lends a shared GPU: a
    function of (recipe, init) that yields snapshots. `estimates` holds the training time of
    recipes on this machine in seconds, infinite for those that cannot run.
    """

    def __init__(self, max_running: int, remote: Callable[..., Generator[Snapshot]] | None = None):
        self.estimates: dict[Recipe, float] = {}
        self._max_running, self._remote = max_running, remote
        self._jobs: list[TrainingJob] = []  # running ones first
        self._idle: list[WorkerProcess] = []
        self._deaths: Counter[Recipe] = Counter()
        self._benchmark = threading.Thread()
        self._lock = threading.Condition()  # notified when a job leaves

    def stream(self, job: TrainingJob) -> Generator[Snapshot | None]:
        """Wait for a slot, then yield the job's snapshots; None while there is nothing new.

        Close the iterator to cancel, or call `job.cancel`: the slot is free within a second. A
        full queue and whatever ended the run early are a `UserError`.
        """
        with self._enqueued(job):
            while self.position(job):
                if job.stop_requested:
                    raise UserError("You have left the queue. Press Start to join it again.")
                if job.cancelled:
                    raise UserError(CANCELLED)
                with self._lock:
                    self._lock.wait(QUEUE_POLL_SECONDS)
                yield None
            run = self._run_remotely(job) if self._remote else self._run_locally(job)
            with contextlib.closing(run) as snapshots:
                for snapshot in snapshots:
                    if job.cancelled:
                        raise UserError(CANCELLED)
                    if snapshot:
                        job.record(snapshot)
                        self._update_estimate(job.recipe, snapshot.progress)
                    yield snapshot

    def position(self, job: TrainingJob) -> int:
        """Return how many jobs go first: 0 for a running one."""
        return max(0, self._jobs.index(job) + 1 - self._max_running)

    def eta(self, job: TrainingJob) -> float:
        """Estimate the seconds until the job starts."""
        earlier = self._jobs[: self._jobs.index(job)]
        return sum(other.seconds_left for other in earlier) / self._max_running

    def estimate_durations(self, recipes: Iterable[Recipe]) -> bool:
        """Fill `estimates` in the background while no job runs. Return whether that goes on.

        The first time it also starts a worker, which takes some seconds and loads the images.
        """
        with self._lock:
            missing = [recipe for recipe in recipes if recipe not in self.estimates]
            if missing and not (self._benchmark.is_alive() or self._jobs or self._remote):
                self._benchmark = threading.Thread(
                    target=self._benchmark_all, args=[missing], daemon=True
                )
                self._benchmark.start()
        return self._benchmark.is_alive()

    def _benchmark_all(self, recipes: Iterable[Recipe]) -> None:
        for recipe in recipes:
            job = TrainingJob(recipe)
            with contextlib.suppress(UserError), self._enqueued(job):
                job.seconds_left = 0.0
                if self._jobs[0] is job:
                    self._benchmark_one(recipe)

    def _benchmark_one(self, recipe: Recipe) -> None:
        with self._worker() as worker:
            try:
                for reply in worker.submit(Benchmark(recipe)):
                    if isinstance(reply, Estimate) and reply.seconds:
                        self.estimates[recipe] = reply.seconds
                    elif len(self._jobs) > 1:  # a job is more urgent
                        worker.send(Cancel())
            except WorkerDiedError:
                self._deaths[recipe] += 1
                if self._deaths[recipe] >= MAX_BENCHMARKS:
                    self.estimates[recipe] = math.inf
            except UserError:
                self.estimates[recipe] = math.inf

    def _update_estimate(self, recipe: Recipe, progress: Progress | None) -> None:
        """Replace an estimate by the measured pace, once a tenth of the run is done."""
        if progress and 10 * progress.step >= progress.steps and recipe in self.estimates:
            self.estimates[recipe] = progress.seconds / progress.step * progress.steps

    def _run_locally(self, job: TrainingJob) -> Generator[Snapshot | None]:
        stop_sent = False
        with self._worker() as worker:
            for reply in worker.submit(Train(job.recipe, job.init, job.examples)):
                assert not isinstance(reply, Estimate)
                yield reply
                if job.stop_requested and not stop_sent:
                    worker.send(Stop())
                    stop_sent = True

    def _run_remotely(self, job: TrainingJob) -> Generator[Snapshot | None]:
        """Stream a run that no message reaches; one that is stopped is finished here.

        The remote process starts as a copy of this one, so the images are loaded here.
        """
        assert self._remote is not None
        datasets.load_cached(datasets.get_dataset(job.recipe.dataset))
        with contextlib.closing(self._remote(job.recipe, job.init)) as snapshots:
            for snapshot in snapshots:
                yield snapshot
                if job.stop_requested and snapshot.network:
                    break
            else:
                return
        session = TrainingSession(job.recipe, init=job.init, device=torch.device("cpu"))
        session.restore(snapshot)
        yield Snapshot(filters=session.filters(), samples=session.samples(), testing=0.0)
        yield Snapshot(result=session.result())

    @contextlib.contextmanager
    def _enqueued(self, job: TrainingJob) -> Iterator[None]:
        with self._lock:
            if len(self._jobs) >= self._max_running + MAX_QUEUED:
                raise UserError("Too many jobs are waiting. Come back in a few minutes.")
            self._check_share(job)
            self._jobs.append(job)
        job.seconds_left = min(
            self.estimates.get(job.recipe, DEFAULT_ESTIMATE), settings.train_seconds()
        )
        job.running = True
        try:
            yield
        finally:
            job.running = False
            with self._lock:
                self._jobs.remove(job)
                self._lock.notify_all()

    def _check_share(self, job: TrainingJob) -> None:
        """Refuse an owner's second job, and more than half of the places to one address."""
        if job.owner and any(other.owner == job.owner for other in self._jobs):
            raise UserError("You have a training run already. Stop it, or wait for its end.")
        most = max(1, (self._max_running + MAX_QUEUED) // 2)
        if job.address and sum(other.address == job.address for other in self._jobs) >= most:
            raise UserError(
                "Too many jobs of your network are waiting. Come back in a few minutes."
            )

    @contextlib.contextmanager
    def _worker(self) -> Iterator[WorkerProcess]:
        """Take an idle worker or start one, and put it back or replace it."""
        with self._lock:
            idle = (self._idle.pop() for _ in range(len(self._idle)))
            worker = next(filter(WorkerProcess.is_alive, idle), None)
        worker = worker or WorkerProcess()
        try:
            yield worker
        finally:
            self._idle.append(worker if worker.release() else WorkerProcess())
