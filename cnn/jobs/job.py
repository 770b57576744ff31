"""Split off."""

import dataclasses

from cnn.data import datasets
from cnn.jobs.session import Snapshot, TrainingResult, seconds_left
from cnn.training.config import Recipe


class TrainingJob:
    """A lesson as its visitor follows it.

    `curve` holds a row for each point so far: step, second, split, loss, accuracy and rate, for
    training and validation. `before` is the course that this one goes on from: its curve comes
    first. `outcome` is there at the end. `name` is that of its network.
    """

    def __init__(self, recipe: Recipe, before: "TrainingJob | None" = None):
        self.recipe = recipe
        self.name = f"mine ({datasets.get_dataset(recipe.dataset).title})"
        self.origin = before.outcome.checkpoint if before else None
        self.curve: list[dict] = list(before.curve) if before else []
        self.outcome: TrainingResult | None = None
        self.under_way = self.stopped = False
        self.left = 0.0
        self._steps, self._seconds = self._end()

    def stop(self) -> None:
        """End after the step under way and keep what was learnt."""
        self.stopped = True

    def note(self, report: Snapshot) -> None:
        """Take down what a report says."""
        self.outcome = report.outcome
        if progress := report.progress:
            self.left = seconds_left(progress)
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
