"""A training run with snapshots for somebody who watches it.

A `Snapshot` is self-contained, so that it can be sent to another process.
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn

from cnn import UserError, hardware, settings
from cnn.data import datasets
from cnn.data.datasets import Split, Splits
from cnn.evaluation import inference
from cnn.evaluation.report import evaluate, generalization_gap
from cnn.models.checkpoints import Checkpoint
from cnn.plots import grids
from cnn.training import finetuning
from cnn.training.config import Recipe
from cnn.training.finalize import finalize
from cnn.training.loop import fit
from cnn.training.state import Progress, start

PREVIEW_IMAGES = 8
TOP_MISTAKES = 8
SNAPSHOT_SECONDS = 1.0
BENCHMARK_SECONDS = 0.3
DUMMY_IMAGES = 5_000


@dataclass(frozen=True)
class SamplePredictions:
    """Images with the most likely class of each: its probability and its index, both (n,)."""

    split: Split
    probabilities: Tensor
    predictions: Tensor


@dataclass(frozen=True)
class TrainingResult:
    """The trained network and its results on the validation images.

    `confusion` is int64 (classes, classes), true by predicted; `mistakes` are the most confident
    ones; `summary` is a sentence that compares training and validation. `initial_accuracy` is
    that of the checkpoint that the run started from, if any, on the same test images.
    """

    checkpoint: Checkpoint
    confusion: Tensor
    per_class: tuple[float, ...]
    mistakes: SamplePredictions
    summary: str
    initial_accuracy: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """A training run at one moment.

    `loading` is the fraction of the images downloaded so far. `filters` and `samples` are set
    about once a second, `result` at the end. `testing` is the fraction of the final
    evaluation that is done.
    `network` and `history` are set only with `include_weights=True`.
    """

    loading: float | None = None
    progress: Progress | None = None
    filters: Image.Image | None = None
    samples: SamplePredictions | None = None
    testing: float | None = None
    result: TrainingResult | None = None
    network: nn.Module | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def phase(self) -> Literal["loading", "training", "testing", "done"]:
        """What the run is doing."""
        if self.result:
            return "done"
        if self.testing is not None:
            return "testing"
        return "training" if self.loading is None else "loading"


class TrainingSession:
    """One training run, from its first step or from the weights of `init`, to the checkpoint.

    `examples` are images to train on besides some of the data set's. `on_progress` is called
    with the fraction of the images downloaded, where they are not on this machine yet, and
    `on_testing` with the fraction of the final evaluation done. `device` defaults to the fastest
    one.
    """

    def __init__(
        self,
        recipe: Recipe,
        limit: float | None = None,
        init: Checkpoint | None = None,
        examples: Split | None = None,
        on_progress: Callable[[float], object] | None = None,
        on_testing: Callable[[float], object] | None = None,
        device: torch.device | None = None,
    ):
        dataset = datasets.get_dataset(recipe.dataset)
        splits = datasets.load_cached(dataset, recipe.validation_size, on_progress)
        if examples:
            splits = splits._replace(train=finetuning.mix(splits.train, examples))
        self.run = start(recipe, splits, device, init=init)
        self.init = init
        self.on_testing = on_testing
        self.limit = settings.train_seconds() if limit is None else limit
        self.stopped = False
        self.error: UserError | None = None

    def train(self) -> Iterator[Progress]:
        """Train and report until the recipe ends, the time is up, or `stop` is called.

        A divergence ends it too, with what was learned before, if anything.
        """
        reports = fit(self.run)
        while not self.stopped and self.run.seconds < self.limit:
            try:
                with hardware.threads(hardware.cpu_count()):
                    progress = next(reports, None)
            except UserError as error:
                if not self.run.step:
                    raise
                self.error, progress = error, None
            if progress is None:
                break
            yield progress

    def snapshots(self, include_weights: bool = False) -> Iterator[Snapshot]:
        """Train and yield a snapshot per report, the last with the result."""
        last_view = -SNAPSHOT_SECONDS
        for progress in self.train():
            snapshot = Snapshot(progress=progress)
            if time.monotonic() - last_view >= SNAPSHOT_SECONDS:
                last_view = time.monotonic()
                snapshot = replace(snapshot, filters=self.filters(), samples=self.samples())
                if include_weights:
                    network = copy.deepcopy(self.run.eval_model).cpu()
                    snapshot = replace(snapshot, network=network, history=list(self.run.history))
            yield snapshot
        yield Snapshot(filters=self.filters(), samples=self.samples(), testing=0.0)
        yield Snapshot(result=self.result())

    def stop(self) -> None:
        """End after the current step and keep what was learned."""
        self.stopped = True

    def restore(self, snapshot: Snapshot) -> None:
        """Go to where another session of the same recipe was at a snapshot with weights."""
        assert snapshot.network is not None and snapshot.progress is not None
        self.run.eval_model.load_state_dict(snapshot.network.state_dict())
        self.run.progress = snapshot.progress
        self.run.step, self.run.seconds = snapshot.progress.step, snapshot.progress.seconds
        self.run.history = snapshot.history

    def filters(self) -> Image.Image:
        """Draw the filters of the first convolution."""
        return grids.filters(self.run.eval_model)

    def samples(self) -> SamplePredictions:
        """Classify the same few validation images each time."""
        split = self.run.splits.validation[:PREVIEW_IMAGES]
        logits = inference.logits(self.run.eval_model, split.images, dtype=self.run.precision)
        return SamplePredictions(split, *logits.softmax(1).max(1))

    def result(self) -> TrainingResult:
        """Evaluate and keep what was learned. A run without a single step is a `UserError`."""
        if not self.run.step:
            raise UserError("Nothing was learned yet. Let the run make its first steps.")
        validation = self.run.splits.validation
        with hardware.threads(hardware.cpu_count()):
            checkpoint = finalize(self.run, on_progress=self.on_testing)
            report = evaluate(checkpoint, validation)
        wrong = report.mistakes(TOP_MISTAKES)
        mistakes = SamplePredictions(
            validation[wrong], report.confidence[wrong], report.predictions[wrong]
        )
        return TrainingResult(
            checkpoint,
            report.confusion,
            report.recall,
            mistakes,
            self._summary(),
            self._initial_accuracy(),
        )

    def _initial_accuracy(self) -> float | None:
        if self.init is None:
            return None
        return finetuning.initial_accuracy(self.init, self.run.recipe.dataset, self.run.splits.test)

    def _summary(self) -> str:
        if self.error:
            return f"{self.error} What was learned until step {self.run.step} is kept."
        summary = generalization_gap(self.run.history)
        if self.run.step < self.run.steps and self.run.seconds >= self.limit:
            return f"Its time, {self.limit:.0f} s, was up. {summary}"
        return summary


def seconds_left(progress: Progress) -> float:
    """Estimate the seconds until the recipe ends or the time is up."""
    left = progress.seconds / progress.step * (progress.steps - progress.step)
    return max(0.0, min(left, settings.train_seconds() - progress.seconds))


def describe(progress: Progress) -> str:
    """Describe the run in one line: epoch, step, seconds, images per second, time left."""
    return (
        f"epoch {progress.epoch} · step {progress.step:,} of {progress.steps:,} · "
        f"{progress.seconds:.1f} s · {progress.images_per_second:,.0f} images per second · "
        f"about {seconds_left(progress):.0f} s left"
    )


def estimate_seconds(recipe: Recipe, cancelled: Callable[[], bool] = bool) -> float | None:
    """Estimate a recipe's training time on this machine from a few steps on random images.

    Takes about `BENCHMARK_SECONDS`; returns None once `cancelled` does not return False.
    """
    dataset = datasets.get_dataset(recipe.dataset)
    shape = dataset.channels, dataset.size, dataset.size
    images = torch.randint(256, (max(DUMMY_IMAGES, recipe.batch_size), *shape), dtype=torch.uint8)
    dummy = Split(images, torch.arange(len(images)) % len(dataset.classes))
    splits = Splits(dummy, dummy[:PREVIEW_IMAGES], dummy[:PREVIEW_IMAGES])
    validation_size = recipe.validation_size or datasets.default_validation_size(dataset.train_size)
    train_size = dataset.train_size - validation_size + recipe.extra_synthetic
    with hardware.threads(hardware.cpu_count()):
        run = start(replace(recipe, extra_synthetic=0, strokes=(), epochs=1_000), splits)
        reports = fit(run)
        first = latest = next(reports)
        while latest.seconds - first.seconds < BENCHMARK_SECONDS:
            if cancelled():
                return None
            latest = next(reports)
    seconds_per_step = (latest.seconds - first.seconds) / (latest.step - first.step)
    return seconds_per_step * recipe.epochs * train_size / recipe.batch_size
