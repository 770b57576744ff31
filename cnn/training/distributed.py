"""One run on several processes, as `torchrun` starts them: each takes its share of every batch.

With one process, nothing here does anything.
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
    """How many processes follow this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is. The one of rank 0 reports and saves."""
    return int(os.environ.get("RANK", "0"))


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Belong to the others inside, with a GPU or a share of the cores each."""
    if world_size() == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        torch.set_num_threads(max(1, hardware.cpu_count() // int(os.environ["LOCAL_WORLD_SIZE"])))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        with report_lost_ranks():
            yield
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def report_lost_ranks() -> Iterator[None]:
    """Say so, as a `UserError`, where another process is gone and so the work inside ends."""
    try:
        yield
    except RuntimeError as fault:
        if world_size() == 1:
            raise
        raise UserError(
            f"Process {rank() + 1} of {world_size()} lost touch with another ({fault}). "
            "See what that one says; with --resume a run goes on from its last whole epoch."
        ) from fault


@contextlib.contextmanager
def rank_zero_first() -> Iterator[None]:
    """What is done inside, rank 0 does before the others: it may be a download."""
    if rank():
        distributed.barrier()
    yield
    if world_size() > 1 and not rank():
        distributed.barrier()


class TransparentDDP(DistributedDataParallel):
    """A network whose gradients are the mean over all processes; its weights keep their names."""

    def state_dict(self, *arguments, **options):
        return self.module.state_dict(*arguments, **options)

    def load_state_dict(self, *arguments, **options):
        return self.module.load_state_dict(*arguments, **options)


def fit(run: TrainState) -> Iterator[Progress]:
    """`training.fit` where what rank 0 measures goes for all: their patience ends together.

    The others may measure something else, for batch norm knows only a process's own pictures.
    """
    for progress in loop.fit(run):
        if world_size() > 1 and progress.validation_loss is not None:
            distributed.broadcast_object_list(run.history)
        yield progress


def shard(run: TrainState) -> None:
    """Give this process its share of each batch of a run that has just been started.

    All draw the same order of the pictures, and all at random alike; rank r of n takes every
    n-th from the r-th. A `UserError` says that a batch cannot be shared evenly.
    """
    count = world_size()
    if count == 1:
        return
    if run.batch_size % count:
        raise UserError(
            f"A batch of {run.batch_size} cannot be shared by {count} processes. "
            f"Choose a multiple of {count}."
        )
    run.batch_size //= count
    run.share = slice(rank(), len(run.splits.train) // count * count, count)
    run.network = TransparentDDP(run.network)
