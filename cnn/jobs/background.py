"""A training job that goes on while those who watch it come and go."""

import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from cnn.jobs.job import TrainingJob
from cnn.jobs.queue import JobQueue
from cnn.jobs.session import Snapshot

ABANDONED_SECONDS = 10.0  # a page that is loaded again comes back sooner
POLL_SECONDS = 1.0


class BackgroundRun:
    """Streams a job from the queue in a thread of its own, and calls `on_result` at its end.

    Nobody has to watch it: a page that is loaded again calls `watch` anew. A job that nobody
    has watched for `ABANDONED_SECONDS` is cancelled.
    """

    def __init__(
        self, job: TrainingJob, queue: JobQueue, on_result: Callable[[TrainingJob], object]
    ):
        self.job = job
        self.ended = False
        self._error: BaseException | None = None
        self._latest = Snapshot()
        self._count = 0  # snapshots so far
        self._watchers, self._left = 0, time.monotonic()
        self._news = threading.Condition()
        context = contextvars.copy_context()  # a host's GPU is lent to the request that asks
        arguments = (self._run, queue, on_result)
        threading.Thread(target=context.run, args=arguments, daemon=True).start()

    def watch(self) -> Iterator[Snapshot | None]:
        """Yield the latest snapshot whenever there is a new one, None while there is none.

        Filters and samples are those shown last. What ended the job early is raised here.
        """
        with self._news:
            self._watchers += 1
        seen = 0
        try:
            while not self.ended:
                with self._news:
                    if self._count == seen:
                        self._news.wait(POLL_SECONDS)
                    news, seen = self._count > seen, self._count
                yield self._latest if news else None
            if self._error:
                raise self._error
        finally:
            with self._news:
                self._watchers -= 1
                self._left = time.monotonic()

    def _run(self, queue: JobQueue, on_result: Callable[[TrainingJob], object]) -> None:
        try:
            with contextlib.closing(queue.stream(self.job)) as snapshots:
                for snapshot in snapshots:
                    self._take(snapshot)
            on_result(self.job)
        except BaseException as error:  # whoever watches raises it
            self._error = error
        finally:
            with self._news:
                self.ended = True
                self._news.notify_all()

    def _take(self, snapshot: Snapshot | None) -> None:
        with self._news:
            if snapshot:
                self._latest = replace(
                    snapshot,
                    filters=snapshot.filters or self._latest.filters,
                    samples=snapshot.samples or self._latest.samples,
                )
                self._count += 1
                self._news.notify_all()
            if not self._watchers and time.monotonic() - self._left > ABANDONED_SECONDS:
                self.job.cancel()
