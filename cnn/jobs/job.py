"""A training job as the client that started it sees it."""

import dataclasses
from typing import Any

from torch import nn

from cnn.data import datasets
from cnn.data.datasets import Split
from cnn.jobs.session import Snapshot, TrainingResult, seconds_left
from cnn.models.checkpoints import Checkpoint
from cnn.training.config import Recipe


class TrainingJob:
    """A queued, running or finished training run.

    `parent` is the finished job that this one continues: it starts from that one's network, and
    its metrics come first. Otherwise `init` is a checkpoint to start from, if any. `examples`
    are images to train on besides the data set's. `metrics` holds a row per report and split:
    step, seconds, split ("train", of the last batch, or "validation"), loss, accuracy and
    learning_rate. `result` is set at the end. `name` is what the trained network is called.
    `owner` and `address` say whose job it is, for the queue's limits.
    """

    def __init__(
        self,
        recipe: Recipe,
        parent: "TrainingJob | None" = None,
        init: Checkpoint | None = None,
        examples: Split | None = None,
    ):
        if parent:
            assert parent.result is not None
            init = parent.result.checkpoint
        self.recipe = recipe
        self.name = f"mine ({datasets.get_dataset(recipe.dataset).title})"
        self.parent = parent
        self.init = init
        self.examples = examples
        self.metrics: list[dict[str, Any]] = list(parent.metrics) if parent else []
        self.result: TrainingResult | None = None
        self.running = self.stop_requested = self.cancelled = False
        self.owner: str | None = None
        self.address: str | None = None
        self.seconds_left = 0.0
        last = self.metrics[-1] if self.metrics else {"step": 0, "seconds": 0.0}
        self._first_step, self._first_second = last["step"], last["seconds"]

    def stop(self) -> None:
        """Request that the run ends after the current step and keeps what was learned."""
        self.stop_requested = True

    def cancel(self) -> None:
        """Request that the job ends at once and keeps nothing."""
        self.cancelled = True

    def record(self, snapshot: Snapshot) -> None:
        """Add a snapshot's figures to the metrics."""
        self.result = snapshot.result
        if progress := snapshot.progress:
            self.seconds_left = seconds_left(progress)
            row = {
                "step": self._first_step + progress.step,
                "seconds": self._first_second + progress.seconds,
                "learning_rate": progress.learning_rate,
            }
            values: dict[str, tuple[float, float | None]] = {
                "train": (progress.batch_loss, progress.batch_accuracy)
            }
            if progress.validation_loss is not None:
                values["validation"] = (progress.validation_loss, progress.validation_accuracy)
            for split, (loss, accuracy) in values.items():
                self.metrics.append(row | {"split": split, "loss": loss, "accuracy": accuracy})

    def drop_weights(self) -> None:
        """Free the memory of the networks: an empty one stays, with metrics and model card."""
        self.init = self.examples = None
        if self.result:
            bare = self.result.checkpoint._replace(network=nn.Sequential())
            self.result = dataclasses.replace(self.result, checkpoint=bare)
