"""Split off."""

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from cnn import UserError, hardware
from cnn.data import datasets
from cnn.jobs.session import Snapshot, TrainingSession, estimate_seconds
from cnn.models.checkpoints import Checkpoint
from cnn.training.config import Recipe

POLL_SECONDS = 0.25  # seconds between two looks at whoever follows a lesson
CANCEL_TIMEOUT = 0.5  # seconds in which a lesson that nobody follows must have ended
NICENESS = 10  # of 19: a tenth of the processor where the page wants all of it
TEACH, MEASURE, KEEP, LEAVE, DONE = "teach", "measure", "keep", "leave", "done"
OUT_OF_MEMORY = (
    "This run wanted more memory than there is and has been ended. Choose a smaller batch size or "
    "a smaller network."
)
WORKER_DIED = (
    "The machine has ended this run, most likely for want of memory. Choose a smaller batch size "
    "or a smaller network."
)
INTERNAL_ERROR = (
    "This run has ended with a fault of this program. Choose something else, or start again."
)


class WorkerProcess:
    """A process that holds one lesson after another, and our end of the line to it."""

    def __init__(self):
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        context.set_forkserver_preload([__name__])
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=worker_main, args=(theirs,), daemon=True)
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
            heard = self._hear(POLL_SECONDS)
            if isinstance(heard, UserError):
                raise heard
            yield heard

    def _hear(self, seconds: float) -> object | None:
        try:
            heard = pickle.loads(self._line.recv_bytes()) if self._line.poll(seconds) else None
        except (EOFError, OSError):
            self.end()
            raise UserError(WORKER_DIED) from None
        self._busy = self._busy and heard != DONE
        return None if isinstance(heard, str) else heard

    def comes_free(self) -> bool:
        """Leave what it does; whether it was ready for the next in time. Else it is ended."""
        end = time.monotonic() + CANCEL_TIMEOUT
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


def train_remotely(recipe: Recipe, origin: Checkpoint | None) -> Iterator[Snapshot]:
    """A lesson for a host that holds it in a process of its own, where no word of ours comes."""
    yield from TrainingSession(recipe, origin=origin).reports(carry=True)


def worker_main(visitor: Connection) -> None:
    """What the process does, until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _lower_priority_and_cap_memory()
    with contextlib.suppress(EOFError, OSError):
        while True:
            _preload(visitor)
            task = pickle.loads(visitor.recv_bytes())
            if isinstance(task, str):  # a word on the lesson before, come too late
                continue
            _dispatch(visitor, *task)
            _send(visitor, DONE)
            with contextlib.suppress(AttributeError, OSError, TypeError):  # glibc alone has it
                ctypes.CDLL(None).malloc_trim(0)  # else up to 0.6 GB stay taken


def _lower_priority_and_cap_memory() -> None:
    """Take the processor last, half of the memory at most, and be the first to go where it ends."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(ImportError):  # as on Windows
        import resource

        resource.setrlimit(
            resource.RLIMIT_DATA, (hardware.memory_limit() // 2, resource.RLIM_INFINITY)
        )


def _preload(visitor: Connection) -> None:
    """Load the pictures that are on this machine, as long as nobody asks for anything."""
    for dataset in datasets.DATASETS.values():
        with contextlib.suppress(UserError, MemoryError):
            if not visitor.poll():
                datasets.load_cached(dataset, loading=_no_download)


def _no_download(_: float) -> None:
    raise UserError("Nothing is downloaded before a lesson asks for it.")


def _dispatch(
    visitor: Connection, what: str, recipe: Recipe, origin: Checkpoint | None = None
) -> None:
    try:
        if what == MEASURE:
            _preload(visitor)
            _send(visitor, estimate_seconds(recipe, until=visitor.poll))
        else:
            _train(visitor, recipe, origin)
    except UserError as error:
        _send(visitor, error)
    except (EOFError, OSError):  # nobody listens
        raise
    except Exception as error:
        traceback.print_exc()
        _send(visitor, UserError(OUT_OF_MEMORY if _is_out_of_memory(error) else INTERNAL_ERROR))


def _is_out_of_memory(error: Exception) -> bool:
    """Python says nothing in it, torch and numpy have words, and C++ a name."""
    return isinstance(error, MemoryError) or "memory" in str(error) or "bad_alloc" in str(error)


def _train(visitor: Connection, recipe: Recipe, origin: Checkpoint | None) -> None:
    def loading(share: float) -> None:
        _send(visitor, Snapshot(loading=share))
        if visitor.poll():
            raise UserError("The download was left.")

    held = TrainingSession(recipe, origin=origin, loading=loading)
    for report in held.reports():
        if visitor.poll():
            if pickle.loads(visitor.recv_bytes()) == LEAVE:
                return
            held.stop()
        _send(visitor, report)


def _send(visitor: Connection, words: object) -> None:
    visitor.send_bytes(pickle.dumps(words))
