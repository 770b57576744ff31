"""Worker processes that run training jobs, one after another.

A training run takes every core it gets and may need more memory than there is. In a low-priority
process of its own it leaves the page responsive, and may fail without consequences.
"""

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from cnn import UserError, hardware, settings
from cnn.data import datasets
from cnn.jobs.messages import Benchmark, Cancel, Done, Estimate, Failure, Reply, Stop, Task, Train
from cnn.jobs.session import Snapshot, TrainingSession, estimate_seconds
from cnn.models import custom
from cnn.models.checkpoints import Checkpoint
from cnn.training.config import Recipe

POLL_SECONDS = 0.25  # between two looks at a silent worker
SILENCE_SECONDS = 10.0  # beyond a run's time limit, until a silent worker is killed
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
CANCEL_TIMEOUT = 0.5  # seconds in which a cancelled worker has to stop before it is killed
NICENESS = 19  # the least: 1.4 % of a processor that the page uses fully
OUT_OF_MEMORY = (
    "This run needs more memory than there is and has been ended. Choose a smaller batch size or "
    "a smaller network."
)
WORKER_DIED = (
    "The system has ended this run, most likely for lack of memory. Choose a smaller batch size "
    "or a smaller network."
)
WORKER_SILENT = (
    "This run took too long for a single step and has been ended. Choose a smaller batch size or "
    "a smaller network."
)
INTERNAL_ERROR = "This run has ended with an internal error. Choose other settings, or start again."


class WorkerDiedError(UserError):
    """The worker was ended from outside or has been silent for too long."""


class WorkerProcess:
    """A worker process, and the client's end of the connection to it."""

    def __init__(self) -> None:
        methods = multiprocessing.get_all_start_methods()
        spawn = multiprocessing.get_context("spawn")
        context = multiprocessing.get_context("forkserver") if "forkserver" in methods else spawn
        context.set_forkserver_preload([__name__])
        self._connection, other_end = context.Pipe()
        try:
            self._process = _start(context.Process, other_end)
        except OSError:  # the fork server or its socket is gone
            self._process = _start(spawn.Process, other_end)
        other_end.close()
        self._busy = False

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, message: object) -> None:
        """Send a message; a worker that has died is noticed when it is read from."""
        with contextlib.suppress(OSError):
            _send(self._connection, message)

    def submit(self, task: Task) -> Iterator[Snapshot | Estimate | None]:
        """Send a task and yield the replies to it; None while there are none for a moment.

        A failed task is a `UserError`.
        """
        self.send(task)
        self._busy = True
        limit = settings.train_seconds() + SILENCE_SECONDS
        last_reply = time.monotonic()
        while self._busy:
            reply = self._receive(POLL_SECONDS)
            if reply is not None:
                last_reply = time.monotonic()
            elif time.monotonic() - last_reply > limit:
                self.kill()
                raise WorkerDiedError(WORKER_SILENT)
            if isinstance(reply, Failure):
                raise UserError(reply.message)
            if not isinstance(reply, Done):
                yield reply

    def _receive(self, seconds: float) -> Reply | None:
        try:
            reply = _receive(self._connection) if self._connection.poll(seconds) else None
        except (EOFError, OSError):
            self.kill()
            raise WorkerDiedError(WORKER_DIED) from None
        self._busy = self._busy and not isinstance(reply, Done)
        return reply

    def release(self) -> bool:
        """Cancel the current task. Return whether the worker is ready for another; else kill it."""
        deadline = time.monotonic() + CANCEL_TIMEOUT
        if self._busy:
            self.send(Cancel())
        with contextlib.suppress(UserError):
            while self._busy and time.monotonic() < deadline:
                self._receive(deadline - time.monotonic())
        if not self._busy and self.is_alive():
            return True
        self.kill()
        return False

    def kill(self) -> None:
        self._busy = False
        self._process.kill()
        self._process.join()


def train_remotely(recipe: Recipe, init: Checkpoint | None) -> Iterator[Snapshot]:
    """Train in a process of the host, which no message reaches: `spaces.GPU` lends one."""
    yield from TrainingSession(recipe, init=init).snapshots(include_weights=True)


def worker_main(connection: Connection) -> None:
    """Run one task after another until the other end of the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    _lower_priority()
    _cap_memory()
    with contextlib.suppress(UserError):
        custom.load_from_settings()
    with contextlib.suppress(EOFError, OSError):
        while True:
            _preload(connection)
            message = _receive(connection)
            if isinstance(message, Task):  # else it is for the task before, and too late
                _dispatch(connection, message)
                _send(connection, Done())
                hardware.release_memory()


def _dispatch(connection: Connection, task: Task) -> None:
    """Run a task; an error becomes a `Failure`."""
    try:
        if isinstance(task, Benchmark):
            _preload(connection)
            _send(connection, Estimate(estimate_seconds(task.recipe, cancelled=connection.poll)))
        else:
            _train(connection, task)
    except UserError as error:
        _send(connection, Failure(str(error)))
    except (EOFError, OSError):  # the client is gone
        raise
    except Exception as error:
        traceback.print_exc()
        message = OUT_OF_MEMORY if _is_out_of_memory(error) else INTERNAL_ERROR
        _send(connection, Failure(message))


def _train(connection: Connection, task: Train) -> None:
    def on_progress(fraction: float) -> None:
        _send(connection, Snapshot(loading=fraction))
        if connection.poll():
            raise UserError("The download was cancelled.")

    session = TrainingSession(
        task.recipe,
        init=task.init,
        examples=task.examples,
        on_progress=on_progress,
        on_testing=lambda fraction: _send(connection, Snapshot(testing=fraction)),
    )
    for snapshot in session.snapshots():
        if connection.poll():
            if not isinstance(_receive(connection), Stop):
                return
            session.stop()
        _send(connection, snapshot)


def _preload(connection: Connection) -> None:
    """Load the data sets that are on this machine, until there is a message."""
    for dataset in datasets.DATASETS.values():
        with contextlib.suppress(UserError, MemoryError):
            if not connection.poll():
                datasets.load_cached(dataset, on_progress=_no_download)


def _no_download(_: float) -> None:
    raise UserError("Nothing is downloaded before a run needs it.")


def _start(kind: type[BaseProcess], connection: Connection) -> BaseProcess:
    process = kind(target=worker_main, args=(connection,), daemon=True)
    process.start()
    return process


def _end_with_parent() -> None:
    """End this process when the client's process ends, even in the middle of a long step.

    A thread watches for it. On Linux the system kills a fork server's child besides; a child of
    the client itself would be killed with the thread that started it.
    """
    parent = multiprocessing.parent_process()
    if parent is None:  # called by a test
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    with contextlib.suppress(AttributeError, OSError, TypeError):
        if os.getppid() != parent.pid:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=watch, daemon=True).start()


def _lower_priority() -> None:
    """Run at low priority, and be the first process that the system kills for memory."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _cap_memory() -> None:
    """Limit this process to half of the memory, or to less where a limit is set already."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    half = hardware.memory_limit() // 2
    soft = half if hard == resource.RLIM_INFINITY else min(half, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _is_out_of_memory(error: Exception) -> bool:
    """Recognise what Python, torch, numpy and C++ raise."""
    return isinstance(error, MemoryError) or "memory" in str(error) or "bad_alloc" in str(error)


def _send(connection: Connection, message: object) -> None:
    connection.send_bytes(pickle.dumps(message))


def _receive(connection: Connection) -> Any:
    return pickle.loads(connection.recv_bytes())
