"""A small network that has learnt a few synthetic digits, once for all tests that ask it."""

import functools

import torch

from cnn import handwriting, training
from cnn.checkpoints import Checkpoint
from cnn.datasets import Split, Splits
from cnn.training import Progress, Recipe, Run

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
    images, labels = (torch.from_numpy(part) for part in handwriting.synthetic_digits(5_000, 1))
    everything = Split(images.unsqueeze(1), labels)
    return Splits(everything[:4_000], everything[4_000:4_300], everything[4_300:])


@functools.cache
def few() -> Splits:
    """So few of them that a run over them takes no time: 500, 100 and 100."""
    return Splits(*(part[:count] for part, count in zip(digits(), (500, 100, 100), strict=True)))


@functools.cache
def finished() -> tuple[Run, tuple[Progress, ...]]:
    """A run of `RECIPE` that has come to its end, and all that it reported."""
    run = training.start(RECIPE, digits(), CPU)
    return run, tuple(training.fit(run))


@functools.cache
def checkpoint() -> Checkpoint:
    """What that run has learnt. It belongs to all tests: change a copy of it."""
    return training.conclude(finished()[0])
