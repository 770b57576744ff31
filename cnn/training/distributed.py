"""Data-parallel training on several processes, as `torchrun` starts them.

Each process takes its part of every batch. With one process, nothing here has an effect.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from cnn import UserError, hardware
from cnn.training import loop
from cnn.training.state import Progress, TrainState


def world_size() -> int:
    """Return the number of processes of this run."""
    return _number("WORLD_SIZE", 1)


def rank() -> int:
    """Return the number of this process. Rank 0 reports and saves."""
    return _number("RANK", 0)


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    try:
        return int(text) if text else default
    except ValueError as error:
        raise UserError(
            f"{variable} is {text!r}, which is not a number. Unset it, or start with torchrun."
        ) from error


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Join the process group, with one GPU or an equal part of the cores per rank.

    A group that cannot be formed is a `UserError`.
    """
    if world_size() == 1:
        yield
        return
    missing = [name for name in _TORCHRUN_VARIABLES if not os.environ.get(name)]
    if missing:
        raise UserError(
            f"WORLD_SIZE is {world_size()}, but {', '.join(missing)} is not set. "
            "Start with `torchrun --nproc-per-node=N -m cnn train`, or unset WORLD_SIZE."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(_number("LOCAL_RANK", 0))
    else:
        local_size = _number("LOCAL_WORLD_SIZE", world_size())
        torch.set_num_threads(max(1, hardware.cpu_count() // local_size))
    try:
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    except (RuntimeError, ValueError) as error:  # such as a port in use
        raise UserError(
            f"The {world_size()} processes could not connect ({_first_line(error)}). "
            "Give torchrun another port with --master-port, or use --standalone."
        ) from error
    try:
        with report_lost_ranks():
            yield
    finally:
        distributed.destroy_process_group()


_TORCHRUN_VARIABLES = ("RANK", "MASTER_ADDR", "MASTER_PORT")


@contextlib.contextmanager
def report_lost_ranks() -> Iterator[None]:
    """Turn the error that a lost rank causes into a `UserError`."""
    try:
        yield
    except RuntimeError as error:
        if world_size() == 1:
            raise
        raise UserError(
            f"Process {rank() + 1} of {world_size()} lost the connection to another "
            f"({_first_line(error)}). See that one's message; with --state a run can be resumed "
            "from its last whole epoch."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextlib.contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let rank 0 run the body before the others do, as it may download something."""
    if rank():
        distributed.barrier()
    yield
    if world_size() > 1 and not rank():
        distributed.barrier()


def fit(run: TrainState) -> Iterator[Progress]:
    """Train as `loop.fit` does, with rank 0's measurements for all: early stopping is shared.

    The others may measure something else, as batch norm knows only a process's own images.
    """
    for progress in loop.fit(run):
        if world_size() > 1 and progress.validation_loss is not None:
            distributed.broadcast_object_list(run.history)
        yield progress


def shard(run: TrainState) -> None:
    """Give this process its part of each batch of a run that has just been started.

    All processes draw the same order of images; rank r of n takes every n-th from the r-th on.
    A batch that cannot be divided evenly is a `UserError`.
    """
    count = world_size()
    if count == 1:
        return
    if run.batch_size % count:
        raise UserError(
            f"A batch of {run.batch_size} cannot be divided among {count} processes. "
            f"Choose a multiple of {count}."
        )
    run.batch_size //= count
    run.shard = slice(rank(), len(run.splits.train) // count * count, count)
    run.forward = DistributedDataParallel(run.network)
