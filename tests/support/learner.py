"""A small network trained on a few synthetic digits, once for all tests that use it."""

import functools

import torch
from torch import Tensor, nn

from cnn.data import synthetic
from cnn.data.datasets import Split, Splits
from cnn.models.checkpoints import Checkpoint
from cnn.training import state
from cnn.training.config import Recipe
from cnn.training.finalize import finalize
from cnn.training.loop import fit
from cnn.training.state import Progress, TrainState

CPU = torch.device("cpu")

RECIPE = Recipe(
    dataset="synthetic",
    model="three-conv",
    epochs=3,
    batch_size=50,
    learning_rate=2e-3,
    schedule="cosine-warmup",
)

BRIEF = Recipe(dataset="synthetic", model="two-conv", epochs=2, batch_size=50)


@functools.cache
def digits() -> Splits:
    """Synthetic digits: 4,000 for training, 300 for validation and 700 for testing."""
    return _generate(4_000, 300, 700)


@functools.cache
def few() -> Splits:
    """Few enough for a run of no time: 500, 100 and 100."""
    return _generate(500, 100, 100)


def tiny() -> Splits:
    """A hundred digits of each split."""
    return Splits(*(part[:100] for part in few()))


def photos(count: int = 20) -> Splits:
    """Noise of CIFAR-10's shape, the same images in each split."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, 32, 32)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return Splits(*[Split(images, torch.arange(count) % 10)] * 3)


def start(
    recipe: Recipe, splits: Splits | None = None, precision: torch.dtype = torch.float32
) -> TrainState:
    """Start a run on the processor, by default with a few digits and in float32."""
    return state.start(recipe, splits or few(), CPU, precision)


def train(recipe: Recipe, splits: Splits | None = None) -> TrainState:
    """Train to the end of the recipe."""
    run = start(recipe, splits)
    for _ in fit(run):
        pass
    return run


def weights(network: nn.Module) -> Tensor:
    """Join all weights and statistics of a network, as float64."""
    return torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])


def _generate(*counts: int) -> Splits:
    images, labels = synthetic.synthetic_digits(sum(counts), seed=1)
    parts = (torch.from_numpy(part).split(counts) for part in (images[:, None], labels))
    return Splits(*map(Split, *parts))


@functools.cache
def finished() -> tuple[TrainState, tuple[Progress, ...]]:
    """A finished run of `RECIPE` and all its reports."""
    run = state.start(RECIPE, digits(), CPU)
    return run, tuple(fit(run))


@functools.cache
def checkpoint() -> Checkpoint:
    """The checkpoint of that run. All tests share it: change a copy of it."""
    return finalize(finished()[0])
