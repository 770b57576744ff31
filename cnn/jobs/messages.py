"""The messages between the page and a worker process."""

from dataclasses import dataclass

from cnn.data.datasets import Split
from cnn.jobs.session import Snapshot
from cnn.models.checkpoints import Checkpoint
from cnn.training.config import Recipe


@dataclass(frozen=True)
class Train:
    """Asks for a training run; the worker sends its snapshots, then `Done`.

    `init` is a checkpoint to start from. `examples` are images to train on besides the data
    set's.
    """

    recipe: Recipe
    init: Checkpoint | None = None
    examples: Split | None = None


@dataclass(frozen=True)
class Benchmark:
    """Asks how long a recipe takes; the worker sends an `Estimate`, then `Done`."""

    recipe: Recipe


@dataclass(frozen=True)
class Stop:
    """Ends the training run and keeps what was learned."""


@dataclass(frozen=True)
class Cancel:
    """Ends whatever the worker does and keeps nothing."""


@dataclass(frozen=True)
class Estimate:
    """The training time of a recipe in seconds; None where the benchmark was cancelled."""

    seconds: float | None


@dataclass(frozen=True)
class Failure:
    """What ended the task, as a sentence for people."""

    message: str


@dataclass(frozen=True)
class Done:
    """The worker has finished the task and waits for the next."""


Task = Train | Benchmark
Reply = Snapshot | Estimate | Failure | Done
