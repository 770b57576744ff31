"""A small network that has learnt a few synthetic digits, once for all tests that ask it."""

import functools

import torch

from cnn.data import synthetic
from cnn.data.datasets import Split, Splits
from cnn.models.checkpoints import Checkpoint
from cnn.training.config import Recipe
from cnn.training.finalize import finalize
from cnn.training.loop import fit
from cnn.training.state import Progress, TrainState, start

CPU = torch.device("cpu")

RECIPE = Recipe(
    dataset="synthetic",
    model="three-conv",
    epochs=3,
    batch_size=50,
    learning_rate=2e-3,
    schedule="one-cycle",
)

BRIEF = Recipe(dataset="synthetic", model="two-conv", epochs=2, batch_size=50)


@functools.cache
def digits() -> Splits:
    """4,000 synthetic digits to learn from, 300 to watch and 700 for the test."""
    return _written(4_000, 300, 700)


@functools.cache
def few() -> Splits:
    """So few of them that a run over them takes no time: 500, 100 and 100."""
    return _written(500, 100, 100)


def _written(*counts: int) -> Splits:
    images, labels = synthetic.synthetic_digits(sum(counts), seed=1)
    parts = (torch.from_numpy(part).split(counts) for part in (images[:, None], labels))
    return Splits(*map(Split, *parts))


@functools.cache
def finished() -> tuple[TrainState, tuple[Progress, ...]]:
    """A run of `RECIPE` that has come to its end, and all that it reported."""
    run = start(RECIPE, digits(), CPU)
    return run, tuple(fit(run))


@functools.cache
def checkpoint() -> Checkpoint:
    """What that run has learnt. It belongs to all tests: change a copy of it."""
    return finalize(finished()[0])
