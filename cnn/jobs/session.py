"""A training run as somebody watches it: its curves, its filters, its opinion of a few pictures.

What is to be seen leaves as a `Report`, whole in itself, so that it can cross to another process.
"""

import copy
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from PIL import Image
from torch import Tensor, nn

from cnn import UserError, hardware
from cnn.data import datasets
from cnn.data.datasets import Split, Splits
from cnn.evaluation import inference
from cnn.evaluation.report import evaluate, generalization_gap
from cnn.models.checkpoints import Checkpoint
from cnn.plots import grids
from cnn.settings import env_float
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
    """Pictures with what the network makes of them: `shares` and `guesses` are the likeliest
    class's probability and number, (n,)."""

    split: Split
    shares: Tensor
    guesses: Tensor


@dataclass(frozen=True)
class TrainingResult:
    """What is left of a lesson: the network, and how it does on the validation pictures.

    `confusion` is int64 (classes, classes), actual by taken for; `mistakes` are those of which it
    is surest; `verdict` is a sentence on how training and validation compare.
    """

    checkpoint: Checkpoint
    confusion: Tensor
    per_class: tuple[float, ...]
    mistakes: SamplePredictions
    verdict: str


@dataclass(frozen=True)
class Snapshot:
    """How a lesson stands: `loading` is the share of its pictures downloaded so far.

    `filters` and `look` are there about once a second, `outcome` at the end. `network` and
    `history` are there with them where whoever listens may have to keep what was learnt.
    """

    loading: float | None = None
    progress: Progress | None = None
    filters: Image.Image | None = None
    look: SamplePredictions | None = None
    outcome: TrainingResult | None = None
    network: nn.Sequential | None = None
    history: list[dict[str, float]] = field(default_factory=list)


def time_limit() -> float:
    """Seconds a lesson may take: `CNN_TRAIN_SECONDS`, else 60 on a Space, 900 elsewhere."""
    return env_float("CNN_TRAIN_SECONDS", 60.0 if "SPACE_ID" in os.environ else 900.0)


class TrainingSession:
    """One run, from its first step, or from the weights of `origin`, to the checkpoint.

    `loading` hears the share of the pictures downloaded, where they are not there yet. `device`
    is the fastest there is unless given.
    """

    def __init__(
        self,
        recipe: Recipe,
        limit: float | None = None,
        origin: Checkpoint | None = None,
        loading: Callable[[float], object] | None = None,
        device: torch.device | None = None,
    ):
        pictures = datasets.load_cached(
            datasets.get_dataset(recipe.dataset), recipe.held_out, loading
        )
        self.run = start(recipe, pictures, device, origin)
        self.limit = time_limit() if limit is None else limit
        self.stopped = False
        self.fault: UserError | None = None

    def follow(self) -> Iterator[Progress]:
        """Train and report, until the recipe ends, the time is up, or `stop` was called.

        Where the loss explodes it ends too, and goes back to what was learnt before, if anything.
        """
        steps = fit(self.run)
        while not self.stopped and self.run.seconds < self.limit:
            try:
                with hardware.threads(hardware.cpu_count()):
                    progress = next(steps, None)
            except UserError as fault:
                if not self.run.step:
                    raise
                self.fault, progress = fault, None
            if progress is None:
                break
            yield progress

    def reports(self, carry: bool = False) -> Iterator[Snapshot]:
        """Train and show, to the outcome; `carry` sends the network along with the pictures."""
        looked = 0.0
        for progress in self.follow():
            if time.monotonic() - looked < SNAPSHOT_SECONDS:
                yield Snapshot(progress=progress)
                continue
            looked = time.monotonic()
            report = Snapshot(progress=progress, filters=self.filters(), look=self.look())
            if carry:
                network = copy.deepcopy(self.run.answering).cpu()
                report = replace(report, network=network, history=list(self.run.history))
            yield report
        yield Snapshot(filters=self.filters(), look=self.look(), outcome=self.finish())

    def stop(self) -> None:
        """End after the step under way and keep what was learnt."""
        self.stopped = True

    def take_up(self, report: Snapshot) -> None:
        """Stand where another lesson on the same recipe stood as it sent a report with `carry`."""
        self.run.answering.load_state_dict(report.network.state_dict())
        self.run.step, self.run.seconds = report.progress.step, report.progress.seconds
        self.run.history = report.history

    def filters(self) -> Image.Image:
        """The first convolution's filters as they are now."""
        return grids.filters(self.run.answering)

    def look(self) -> SamplePredictions:
        """What the network makes, now, of the same few validation pictures each time."""
        watched = self.run.splits.validation[:PREVIEW_IMAGES]
        answers = inference.logits(self.run.answering, watched.images, quick=True)
        return SamplePredictions(watched, *answers.softmax(1).max(1))

    def finish(self) -> TrainingResult:
        """Measure and keep what was learnt. A run without a single step is a `UserError`."""
        if not self.run.step:
            raise UserError("Nothing was learnt yet. Let the run make its first steps.")
        with hardware.threads(hardware.cpu_count()):
            checkpoint = finalize(self.run)
            found = evaluate(checkpoint, self.run.splits.validation)
        wrong = found.mistakes(TOP_MISTAKES)
        return TrainingResult(
            checkpoint,
            found.confusion,
            found.per_class,
            SamplePredictions(found.split[wrong], found.confidence[wrong], found.guesses[wrong]),
            self._verdict(),
        )

    def _verdict(self) -> str:
        if self.fault:
            return f"{self.fault} What was learnt until step {self.run.step} is kept."
        verdict = generalization_gap(self.run.history)
        if self.run.step < self.run.steps and self.run.seconds >= self.limit:
            return f"Its time, {self.limit:.0f} s, was up. {verdict}"
        return verdict


def seconds_left(progress: Progress) -> float:
    """About how long the run still takes: to the end of its recipe or of its time."""
    left = progress.seconds / progress.step * (progress.steps - progress.step)
    return max(0.0, min(left, time_limit() - progress.seconds))


def describe(progress: Progress) -> str:
    """The run's status in one line: epoch, seconds, pictures a second, time left."""
    return (
        f"epoch {progress.epoch} · step {progress.step:,} of {progress.steps:,} · "
        f"{progress.seconds:.1f} s · {progress.images_per_second:,.0f} pictures a second · "
        f"about {seconds_left(progress):.0f} s left"
    )


def estimate_seconds(recipe: Recipe, until: Callable[[], bool] = bool) -> float | None:
    """How long a lesson takes here, in training time, from a few steps on made-up pictures.

    It is measured for a moment; None where `until` tells of something more urgent.
    """
    dataset = datasets.get_dataset(recipe.dataset)
    shape = dataset.channels, dataset.size, dataset.size
    images = torch.randint(256, (max(DUMMY_IMAGES, recipe.batch_size), *shape), dtype=torch.uint8)
    stand_ins = Split(images, torch.arange(len(images)) % len(dataset.classes))
    splits = Splits(stand_ins, stand_ins[:PREVIEW_IMAGES], stand_ins[:PREVIEW_IMAGES])
    held_out = recipe.held_out or datasets.default_validation_size(dataset.pictures)
    learnt_from = dataset.pictures - held_out + recipe.synthetic
    with hardware.threads(hardware.cpu_count()):
        run = start(replace(recipe, synthetic=0, epochs=1_000), splits)
        steps = fit(run)
        first = latest = next(steps)
        while latest.seconds - first.seconds < BENCHMARK_SECONDS:
            if until():
                return None
            latest = next(steps)
    a_step = (latest.seconds - first.seconds) / (latest.step - first.step)
    return a_step * recipe.epochs * learnt_from / recipe.batch_size
