"""Where lessons are held: in processes of their own, one after another, the others in line.

A lesson takes every core it gets and may take more memory than there is. In a process that yields
to all others the page keeps answering beside it, and what befalls the lesson befalls nothing else.
"""

import contextlib
import ctypes
import dataclasses
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from cnn import UserError, datasets, hardware, lesson
from cnn.checkpoints import Checkpoint
from cnn.lesson import Lesson, Outcome, Report
from cnn.recipes import Recipe
from cnn.training import Progress

MOST_WAITING = 10
PATIENCE = 0.25  # seconds between two looks at whoever follows a lesson
GLANCE = 1.0  # and at whoever waits in line, where each look costs the page some milliseconds
GRACE = 0.5  # seconds in which a lesson that nobody follows must have ended
NICE = 10  # of 19: a tenth of the processor where the page wants all of it
USUAL = 20.0  # seconds, of a lesson, before there has been one
TEACH, MEASURE, KEEP, LEAVE, DONE = "teach", "measure", "keep", "leave", "done"
TOO_LARGE = (
    "This run wanted more memory than there is and has been ended. Choose a smaller batch size or "
    "a smaller network."
)
DIED = (
    "The machine has ended this run, most likely for want of memory. Choose a smaller batch size "
    "or a smaller network."
)
FAULT = "This run has ended with a fault of this program. Choose something else, or start again."


def seats() -> int:
    """How many lessons are held at once: `CNN_TRAIN_RUNS`, else one."""
    return max(1, int(hardware.setting("CNN_TRAIN_RUNS", 1)))


class Course:
    """A lesson as its visitor follows it.

    `curve` holds a row for each point so far: step, second, split, loss, accuracy and rate, for
    training and validation. `before` is the course that this one goes on from: its curve comes
    first. `outcome` is there at the end. `name` is that of its network.
    """

    def __init__(self, recipe: Recipe, before: "Course | None" = None):
        self.recipe = recipe
        self.name = f"mine ({datasets.named(recipe.dataset).title})"
        self.origin = before.outcome.checkpoint if before else None
        self.curve: list[dict] = list(before.curve) if before else []
        self.outcome: Outcome | None = None
        self.under_way = self.stopped = False
        self.left = 0.0
        self._steps, self._seconds = self._end()

    def stop(self) -> None:
        """End after the step under way and keep what was learnt."""
        self.stopped = True

    def note(self, report: Report) -> None:
        """Take down what a report says."""
        self.outcome = report.outcome
        if progress := report.progress:
            self.left = lesson.seconds_left(progress)
            row = {
                "step": self._steps + progress.step,
                "second": self._seconds + progress.seconds,
                "rate": progress.learning_rate,
            }
            values = {"training": (progress.train_loss, progress.train_accuracy)}
            if progress.validation_loss is not None:
                values["validation"] = (progress.validation_loss, progress.validation_accuracy)
            for split, (loss, accuracy) in values.items():
                self.curve.append(row | {"split": split, "loss": loss, "accuracy": accuracy})

    def forget(self) -> None:
        """Let go of the network, and keep what was noted of it."""
        self.origin = None
        bare = self.outcome.checkpoint._replace(network=None)
        self.outcome = dataclasses.replace(self.outcome, checkpoint=bare)

    def _end(self) -> tuple[int, float]:
        return (self.curve[-1]["step"], self.curve[-1]["second"]) if self.curve else (0, 0.0)


class Classroom:
    """Holds so many lessons at once as there are seats; who comes later waits in line.

    Where a function is `lent` that makes reports of (recipe, origin) elsewhere, as a host with a
    shared GPU lends one, it holds the lessons instead of a process of ours. `estimates` are the
    seconds that lessons take here; those that cannot be held take for ever.
    """

    def __init__(self, seats: int, lent: Callable[..., Generator[Report]] | None = None):
        self.estimates: dict[Recipe, float] = {}
        self._seats, self._lent = seats, lent
        self._line: list[Course] = []
        self._idle: list[_Teacher] = []
        self._measuring = threading.Thread()
        self._lock = threading.Condition()  # told where the line moves

    def attend(self, course: Course) -> Iterator[Report | None]:
        """Wait in line, then follow a lesson to its outcome; None while there is nothing new.

        To leave, close the iterator: the seat is free within a second. A `UserError` tells of a
        line too long, and of whatever ended the lesson early.
        """
        with self._in_line(course):
            while self.place(course):
                if course.stopped:
                    raise UserError("You have left the line. Press Start to join it again.")
                with self._lock:
                    self._lock.wait(GLANCE)
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

    def place(self, course: Course) -> int:
        """How many go before it may begin: 0 for a lesson under way."""
        return max(0, self._line.index(course) + 1 - self._seats)

    def wait(self, course: Course) -> float:
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
            course = Course(recipe)
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

    def _taught(self, course: Course) -> Iterator[Report | None]:
        with self._teacher() as teacher:
            for report in teacher.ask(TEACH, course.recipe, course.origin):
                yield report
                if course.stopped:
                    teacher.tell(KEEP)
                    course.stopped = False

    def _borrowed(self, course: Course) -> Iterator[Report | None]:
        """Follow a lesson that cannot be told to stop, and finish it here where it must.

        Its process begins as a copy of this one, so the pictures are loaded here.
        """
        datasets.kept(datasets.named(course.recipe.dataset))
        with contextlib.closing(self._lent(course.recipe, course.origin)) as reports:
            for report in reports:
                yield report
                if course.stopped and report.network:
                    break
            else:
                return
        here = Lesson(course.recipe, origin=course.origin, device=torch.device("cpu"))
        here.take_up(report)
        yield Report(filters=here.filters(), look=here.look(), outcome=here.finish())

    @contextlib.contextmanager
    def _in_line(self, course: Course) -> Iterator[None]:
        with self._lock:
            if len(self._line) >= self._seats + MOST_WAITING:
                raise UserError("Too many are waiting already. Come back in a few minutes.")
            self._line.append(course)
        course.left = min(self.estimates.get(course.recipe, USUAL), lesson.time_limit())
        course.under_way = True
        try:
            yield
        finally:
            course.under_way = False
            with self._lock:
                self._line.remove(course)
                self._lock.notify_all()

    @contextlib.contextmanager
    def _teacher(self) -> Iterator["_Teacher"]:
        with self._lock:
            idle = (self._idle.pop() for _ in range(len(self._idle)))
            teacher = next(filter(_Teacher.is_alive, idle), None)
        teacher = teacher or _Teacher()
        try:
            yield teacher
        finally:
            self._idle.append(teacher if teacher.comes_free() else _Teacher())


class _Teacher:
    """A process that holds one lesson after another, and our end of the line to it."""

    def __init__(self):
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        context.set_forkserver_preload([__name__])
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_teach, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._busy = False

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def tell(self, word: object) -> None:
        with contextlib.suppress(OSError):  # it has died, as it turns out when it is heard
            self._line.send_bytes(pickle.dumps(word))

    def ask(self, *task) -> Iterator[object | None]:
        """What it says while it does a task; None where it says nothing for a moment."""
        self.tell(task)
        self._busy = True
        while self._busy:
            heard = self._hear(PATIENCE)
            if isinstance(heard, UserError):
                raise heard
            yield heard

    def _hear(self, seconds: float) -> object | None:
        try:
            heard = pickle.loads(self._line.recv_bytes()) if self._line.poll(seconds) else None
        except (EOFError, OSError):
            self.end()
            raise UserError(DIED) from None
        self._busy = self._busy and heard != DONE
        return None if isinstance(heard, str) else heard

    def comes_free(self) -> bool:
        """Leave what it does; whether it was ready for the next in time. Else it is ended."""
        end = time.monotonic() + GRACE
        if self._busy:
            self.tell(LEAVE)
        with contextlib.suppress(UserError):
            while self._busy and time.monotonic() < end:
                self._hear(end - time.monotonic())
        if not self._busy and self.is_alive():
            return True
        self.end()
        return False

    def end(self) -> None:
        self._busy = False
        self._process.kill()
        self._process.join()


def abroad(recipe: Recipe, origin: Checkpoint | None) -> Iterator[Report]:
    """A lesson for a host that holds it in a process of its own, where no word of ours comes."""
    yield from Lesson(recipe, origin=origin).reports(carry=True)


def _teach(visitor: Connection) -> None:
    """What the process does, until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _let_others_first()
    with contextlib.suppress(EOFError, OSError):
        while True:
            _get_ready(visitor)
            task = pickle.loads(visitor.recv_bytes())
            if isinstance(task, str):  # a word on the lesson before, come too late
                continue
            _do(visitor, *task)
            _say(visitor, DONE)
            with contextlib.suppress(AttributeError, OSError, TypeError):  # glibc alone has it
                ctypes.CDLL(None).malloc_trim(0)  # else up to 0.6 GB stay taken


def _let_others_first() -> None:
    """Take the processor last, half of the memory at most, and be the first to go where it ends."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(ImportError):  # as on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (hardware.memory() // 2, resource.RLIM_INFINITY))


def _get_ready(visitor: Connection) -> None:
    """Load the pictures that are on this machine, as long as nobody asks for anything."""
    for dataset in datasets.DATASETS.values():
        with contextlib.suppress(UserError, MemoryError):
            if not visitor.poll():
                datasets.kept(dataset, loading=_decline)


def _decline(_: float) -> None:
    raise UserError("Nothing is downloaded before a lesson asks for it.")


def _do(visitor: Connection, what: str, recipe: Recipe, origin: Checkpoint | None = None) -> None:
    try:
        if what == MEASURE:
            _get_ready(visitor)
            _say(visitor, lesson.seconds_needed(recipe, until=visitor.poll))
        else:
            _hold(visitor, recipe, origin)
    except UserError as error:
        _say(visitor, error)
    except (EOFError, OSError):  # nobody listens
        raise
    except Exception as error:
        traceback.print_exc()
        _say(visitor, UserError(TOO_LARGE if _wants_memory(error) else FAULT))


def _wants_memory(error: Exception) -> bool:
    """Python says nothing in it, torch and numpy have words, and C++ a name."""
    return isinstance(error, MemoryError) or "memory" in str(error) or "bad_alloc" in str(error)


def _hold(visitor: Connection, recipe: Recipe, origin: Checkpoint | None) -> None:
    def loading(share: float) -> None:
        _say(visitor, Report(loading=share))
        if visitor.poll():
            raise UserError("The download was left.")

    held = Lesson(recipe, origin=origin, loading=loading)
    for report in held.reports():
        if visitor.poll():
            if pickle.loads(visitor.recv_bytes()) == LEAVE:
                return
            held.stop()
        _say(visitor, report)


def _say(visitor: Connection, words: object) -> None:
    visitor.send_bytes(pickle.dumps(words))
