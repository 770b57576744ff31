"""A training run as somebody watches it: its curves, its filters, its opinion of a few pictures."""

import functools
import os
from collections.abc import Iterator

from PIL import Image
from torch import Tensor

from cnn import UserError, datasets, evaluation, hardware, review, training, visualization
from cnn.checkpoints import Checkpoint
from cnn.datasets import Split, Splits
from cnn.training import Progress, Recipe

WATCHED = 8


@functools.cache
def _splits(dataset: str, held_out: int | None) -> Splits:
    return datasets.load(datasets.named(dataset), held_out)


def time_limit() -> float:
    """Seconds a lesson may take: `CNN_TRAIN_SECONDS`, else 60 on a Space, 900 elsewhere."""
    given = os.environ.get("CNN_TRAIN_SECONDS", "")
    if given.replace(".", "", 1).isdigit():
        return float(given)
    return 60.0 if "SPACE_ID" in os.environ else 900.0


class Lesson:
    """One run, from its first step to the checkpoint.

    `curve` holds a row for each point so far: step, split, loss and accuracy, for training and
    validation.
    """

    def __init__(self, recipe: Recipe, limit: float | None = None):
        self.run = training.start(recipe, _splits(recipe.dataset, recipe.held_out))
        self.limit = time_limit() if limit is None else limit
        self.stopped = False
        self.curve: list[dict] = []

    def follow(self) -> Iterator[Progress]:
        """Train and report, until the recipe ends, the time is up, or `stop` was called."""
        steps = training.fit(self.run)
        while not self.stopped and self.run.seconds < self.limit:
            with hardware.threads(hardware.cores()):
                progress = next(steps, None)
            if progress is None:
                break
            self._note(progress)
            yield progress

    def stop(self) -> None:
        """End after the step under way and keep what was learnt."""
        self.stopped = True

    def _note(self, progress: Progress) -> None:
        values = {"training": (progress.train_loss, progress.train_accuracy)}
        if progress.validation_loss is not None:
            values["validation"] = (progress.validation_loss, progress.validation_accuracy)
        for split, (loss, accuracy) in values.items():
            row = {"step": progress.step, "split": split, "loss": loss, "accuracy": accuracy}
            self.curve.append(row)

    def filters(self) -> Image.Image:
        """The first convolution's filters as they are now."""
        return visualization.filters(self.run.answering)

    def watched(self) -> Split:
        """The same eight validation pictures each time."""
        return self.run.splits.validation[:WATCHED]

    def opinions(self) -> Tensor:
        """What the network makes of the watched pictures now: probabilities (8, classes)."""
        return evaluation.logits(self.run.answering, self.watched().images, quick=True).softmax(1)

    def finish(self) -> Checkpoint:
        """Measure and keep what was learnt. A run without a single step is a `UserError`."""
        if not self.run.step:
            raise UserError("Nothing was learnt yet. Let the run make its first steps.")
        with hardware.threads(hardware.cores()):
            return training.conclude(self.run)

    def verdict(self) -> str:
        """A sentence on how training and validation compare at the last measured epoch."""
        return review.drift(self.run.history)


def describe(progress: Progress) -> str:
    """The run's status in one line: epoch, seconds, pictures a second, time left."""
    left = progress.seconds / progress.step * (progress.steps - progress.step)
    return (
        f"epoch {progress.epoch} · step {progress.step:,} of {progress.steps:,} · "
        f"{progress.seconds:.1f} s · {progress.images_per_second:,.0f} pictures a second · "
        f"about {left:.0f} s left"
    )
