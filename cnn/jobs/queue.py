"""Where lessons are held: in processes of their own, one after another, the others in line.

A lesson takes every core it gets and may take more memory than there is. In a process that yields
to all others the page keeps answering beside it, and what befalls the lesson befalls nothing else.
"""

import contextlib
import math
import threading
from collections.abc import Callable, Generator, Iterable, Iterator

import torch

from cnn import UserError
from cnn.data import datasets
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import Snapshot, TrainingSession, time_limit
from cnn.jobs.worker import KEEP, LEAVE, MEASURE, TEACH, WorkerProcess
from cnn.settings import env_float
from cnn.training.config import Recipe
from cnn.training.state import Progress

MAX_QUEUED = 10
QUEUE_POLL_SECONDS = (
    1.0  # and at whoever waits in line, where each look costs the page some milliseconds
)
DEFAULT_ESTIMATE = 20.0  # seconds, of a lesson, before there has been one


def max_running() -> int:
    """How many lessons are held at once: `CNN_TRAIN_RUNS`, else one."""
    return max(1, int(env_float("CNN_TRAIN_RUNS", 1)))


class JobQueue:
    """Holds so many lessons at once as there are seats; who comes later waits in line.

    Where a function is `lent` that makes reports of (recipe, origin) elsewhere, as a host with a
    shared GPU lends one, it holds the lessons instead of a process of ours. `estimates` are the
    seconds that lessons take here; those that cannot be held take for ever.
    """

    def __init__(self, seats: int, lent: Callable[..., Generator[Snapshot]] | None = None):
        self.estimates: dict[Recipe, float] = {}
        self._seats, self._lent = seats, lent
        self._line: list[TrainingJob] = []
        self._idle: list[WorkerProcess] = []
        self._measuring = threading.Thread()
        self._lock = threading.Condition()  # told where the line moves

    def attend(self, course: TrainingJob) -> Iterator[Snapshot | None]:
        """Wait in line, then follow a lesson to its outcome; None while there is nothing new.

        To leave, close the iterator: the seat is free within a second. A `UserError` tells of a
        line too long, and of whatever ended the lesson early.
        """
        with self._in_line(course):
            while self.place(course):
                if course.stopped:
                    raise UserError("You have left the line. Press Start to join it again.")
                with self._lock:
                    self._lock.wait(QUEUE_POLL_SECONDS)
                yield None
            for report in self._borrowed(course) if self._lent else self._taught(course):
                if report:
                    course.note(report)
                    self._learn_from(course.recipe, report.progress)
                yield report

    def _learn_from(self, recipe: Recipe, progress: Progress | None) -> None:
        """A lesson held to its end tells better than its estimate what the next one takes."""
        if progress and progress.step == progress.steps and recipe in self.estimates:
            self.estimates[recipe] = progress.seconds

    def place(self, course: TrainingJob) -> int:
        """How many go before it may begin: 0 for a lesson under way."""
        return max(0, self._line.index(course) + 1 - self._seats)

    def wait(self, course: TrainingJob) -> float:
        """About how many seconds until it begins."""
        before = self._line[: self._line.index(course)]
        return sum(other.left for other in before) / self._seats

    def measure(self, recipes: Iterable[Recipe]) -> bool:
        """Fill `estimates` with what is not known yet, beside whoever asks, while nobody learns.

        The result says whether that is under way. The first time it has a process started, which
        takes some seconds, and the pictures loaded.
        """
        with self._lock:
            missing = [recipe for recipe in recipes if recipe not in self.estimates]
            if missing and not (self._measuring.is_alive() or self._line or self._lent):
                self._measuring = threading.Thread(
                    target=self._measure, args=[missing], daemon=True
                )
                self._measuring.start()
        return self._measuring.is_alive()

    def _measure(self, recipes: Iterable[Recipe]) -> None:
        for recipe in recipes:
            course = TrainingJob(recipe)
            with contextlib.suppress(UserError), self._in_line(course):
                course.left = 0.0
                if self._line[0] is course:
                    self._take_time(recipe)

    def _take_time(self, recipe: Recipe) -> None:
        with self._teacher() as teacher:
            try:
                for seconds in teacher.ask(MEASURE, recipe):
                    if seconds:
                        self.estimates[recipe] = seconds
                    elif len(self._line) > 1:  # a lesson is more urgent
                        teacher.tell(LEAVE)
            except UserError:
                self.estimates[recipe] = math.inf

    def _taught(self, course: TrainingJob) -> Iterator[Snapshot | None]:
        with self._teacher() as teacher:
            for report in teacher.ask(TEACH, course.recipe, course.origin):
                yield report
                if course.stopped:
                    teacher.tell(KEEP)
                    course.stopped = False

    def _borrowed(self, course: TrainingJob) -> Iterator[Snapshot | None]:
        """Follow a lesson that cannot be told to stop, and finish it here where it must.

        Its process begins as a copy of this one, so the pictures are loaded here.
        """
        datasets.load_cached(datasets.get_dataset(course.recipe.dataset))
        with contextlib.closing(self._lent(course.recipe, course.origin)) as reports:
            for report in reports:
                yield report
                if course.stopped and report.network:
                    break
            else:
                return
        here = TrainingSession(course.recipe, origin=course.origin, device=torch.device("cpu"))
        here.take_up(report)
        yield Snapshot(filters=here.filters(), look=here.look(), outcome=here.finish())

    @contextlib.contextmanager
    def _in_line(self, course: TrainingJob) -> Iterator[None]:
        with self._lock:
            if len(self._line) >= self._seats + MAX_QUEUED:
                raise UserError("Too many are waiting already. Come back in a few minutes.")
            self._line.append(course)
        course.left = min(self.estimates.get(course.recipe, DEFAULT_ESTIMATE), time_limit())
        course.under_way = True
        try:
            yield
        finally:
            course.under_way = False
            with self._lock:
                self._line.remove(course)
                self._lock.notify_all()

    @contextlib.contextmanager
    def _teacher(self) -> Iterator["WorkerProcess"]:
        with self._lock:
            idle = (self._idle.pop() for _ in range(len(self._idle)))
            teacher = next(filter(WorkerProcess.is_alive, idle), None)
        teacher = teacher or WorkerProcess()
        try:
            yield teacher
        finally:
            self._idle.append(teacher if teacher.comes_free() else WorkerProcess())
