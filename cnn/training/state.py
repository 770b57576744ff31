"""A training run that has not made its first step, and how it stands later."""

import copy
import math
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cnn import UserError, hardware
from cnn.data import datasets, outliers, synthetic
from cnn.data.datasets import Split, Splits
from cnn.evaluation import inference
from cnn.models import architectures, checkpoints
from cnn.models.checkpoints import Checkpoint, ModelCard
from cnn.training import optimizers
from cnn.training.config import Recipe

WHITENING_IMAGES = 500


@dataclass(frozen=True)
class Progress:
    """How a run stands after `step` of `steps`.

    `seconds` is training time so far: writing synthetic digits, building and whitening the
    network, augmentation and steps, without reading files, evaluation and saving. Loss and
    accuracy are means over the epoch so far; those of the validation pictures are None unless
    just measured, at the end of an epoch.
    """

    step: int
    steps: int
    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    images_per_second: float


@dataclass
class TrainState:
    """A training under way: all that changes while a recipe is followed.

    `answering` is the network to ask and to keep: the running mean of the weights where the
    recipe asks for one, else the network itself. `mirrored` says which pictures are seen in the
    mirror in the first epoch; in every next one it is the others. `origin` is the Card of the
    network that the run began with, where it did not begin with nothing. `share` and
    `batch_size` are what this process has of the pictures and of each batch: all of it, unless
    `distributed.spread` says otherwise. `sound` holds the weights of the step with the lowest
    reported loss, to go back to. `teacher` is the network of the recipe's teacher, `outliers`
    the images of other things, uint8 (N, C, H, W).
    """

    recipe: Recipe
    splits: Splits
    network: nn.Sequential
    answering: nn.Sequential
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    mirrored: Tensor
    device: torch.device
    precision: torch.dtype
    batch_size: int
    share: slice = field(default_factory=lambda: slice(None))
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    origin: ModelCard | None = None
    teacher: nn.Sequential | None = None
    outliers: Tensor | None = None
    sound: tuple[float, int, dict[str, Tensor]] = (math.inf, 0, {})

    @property
    def steps_an_epoch(self) -> int:
        """Steps in which every picture is seen once."""
        return math.ceil(len(range(len(self.splits.train))[self.share]) / self.batch_size)

    @property
    def steps(self) -> int:
        """Steps in all, at least one."""
        return max(1, round(self.recipe.epochs * self.steps_an_epoch))


def start(
    recipe: Recipe,
    splits: Splits | None = None,
    device: torch.device | None = None,
    origin: Checkpoint | None = None,
) -> TrainState:
    """Seed, load, build: a run that has not made its first step.

    `splits` are the pictures where they are in memory already. `origin` is a finished network to
    go on from, which stays as it is; `recipes.continued` gives a recipe for that. A batch larger
    than the set and weights that do not fit the recipe's network are a `UserError`.
    """
    dataset = datasets.get_dataset(recipe.dataset)
    splits = splits or datasets.load(dataset, recipe.held_out)
    device = device or hardware.device()
    generator = torch.Generator().manual_seed(recipe.seed)
    begun = time.perf_counter()
    if recipe.synthetic:
        splits = splits._replace(train=_with_synthetic(splits.train, recipe))
    if recipe.batch_size > len(splits.train):
        raise UserError(
            f"A batch of {recipe.batch_size:,} is larger than the {len(splits.train):,} pictures "
            "to learn from. Choose a smaller batch size."
        )
    torch.manual_seed(recipe.seed)
    network = architectures.build(recipe.model, dataset, recipe.dropout)
    network.to(device, memory_format=torch.channels_last)
    if origin:
        _take_weights(network, origin, recipe)
    else:
        architectures.init_whitening(
            network, inference.to_float(splits.train.images[:WHITENING_IMAGES], device)
        )
    prepared = time.perf_counter() - begun
    return TrainState(
        recipe=recipe,
        splits=splits,
        network=network,
        answering=copy.deepcopy(network) if recipe.average else network,
        optimizer=optimizers.build_optimizer(network, recipe),
        generator=generator,
        mirrored=torch.rand(len(splits.train), generator=generator) < 0.5,
        device=device,
        precision=hardware.amp_dtype(device),
        batch_size=recipe.batch_size,
        seconds=prepared,
        origin=origin and origin.card,
        teacher=_teacher(recipe, device) if recipe.teacher else None,
        outliers=outliers.load(recipe.outliers, dataset).train if recipe.outliers else None,
    )


def _teacher(recipe: Recipe, device: torch.device) -> nn.Sequential:
    network, card = checkpoints.load(recipe.teacher)
    if card.dataset != recipe.dataset:
        raise UserError(
            f"{recipe.teacher!r} was trained on {card.dataset!r} and cannot teach "
            f"{recipe.dataset!r}. Choose a teacher of the same data set."
        )
    return network.to(device, memory_format=torch.channels_last)


def _take_weights(network: nn.Sequential, origin: Checkpoint, recipe: Recipe) -> None:
    try:
        network.load_state_dict(origin.network.state_dict())
    except RuntimeError as fault:
        raise UserError(
            f"The weights of {origin.card.model!r} for {origin.card.dataset!r} do not fit "
            f"{recipe.model!r} for {recipe.dataset!r}. Choose the same network."
        ) from fault


def _with_synthetic(train: Split, recipe: Recipe) -> Split:
    images, labels = synthetic.synthetic_digits(recipe.synthetic, seed=recipe.seed + 1)
    return Split(
        torch.cat([train.images, torch.from_numpy(images).unsqueeze(1)]),
        torch.cat([train.labels, torch.from_numpy(labels)]),
    )
