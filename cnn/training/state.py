"""The state of a training run: how it is set up, and what changes step by step."""

import copy
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from cnn import UserError, hardware
from cnn.data import datasets, outliers, pen_strokes, synthetic
from cnn.data.datasets import Split, Splits
from cnn.evaluation import inference
from cnn.models import architectures, checkpoints
from cnn.models.card import ModelCard
from cnn.models.checkpoints import Checkpoint
from cnn.training import optimizers
from cnn.training.config import Recipe

WHITENING_IMAGES = 500


@dataclass(frozen=True)
class Progress:
    """The figures of a run after `step` of `steps`.

    `seconds` is training time: writing synthetic digits, building and whitening the network,
    augmentation and steps, without reading files, evaluation and saving. Losses are plain cross
    entropy. `train_loss` and `train_accuracy` are means over the epoch so far, `batch_loss` and
    `batch_accuracy` those of the last batch. The validation figures are None unless just
    measured, at the end of an epoch.
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
    batch_loss: float = math.nan
    batch_accuracy: float = math.nan

    def row(self) -> dict[str, Any]:
        """Return the figures that JSON lines, tables and model cards hold: all but the batch's."""
        return {name: value for name, value in asdict(self).items() if "batch" not in name}


@dataclass(frozen=True)
class BestWeights:
    """The weights with the lowest loss reported so far, and the report."""

    progress: Progress
    weights: dict[str, Tensor]


@dataclass
class TrainState:
    """A training run: all that changes while a recipe is followed.

    `forward` is the network, wrapped where several processes average their gradients.
    `scaler` keeps small gradients from vanishing in float16; in other formats it does nothing.
    `ema_model` holds the moving average of the weights where the recipe asks for one.
    `flip_mask` says which images are mirrored in the first epoch, the third and so on; in between
    it is the others. `shard` and `batch_size` are this process's part of the images and of each
    batch: all of it, unless `distributed.shard` changes them. `history` holds a row per epoch,
    `progress` the last report. `best` has the lowest training loss, to fall back to after a
    divergence; `best_epoch` has the lowest validation loss, where the recipe keeps the best.
    `init_card` and `init_weights` are those of the checkpoint that the run started from, if any;
    the weights only where the recipe averages with them. `teacher` is the
    network to distil, `outliers` are uint8 (N, C, H, W).
    """

    recipe: Recipe
    splits: Splits
    network: nn.Sequential
    forward: nn.Module
    ema_model: nn.Sequential | None
    optimizer: torch.optim.Optimizer
    scaler: GradScaler
    generator: torch.Generator
    flip_mask: Tensor
    device: torch.device
    precision: torch.dtype
    batch_size: int
    shard: slice = field(default_factory=lambda: slice(None))
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    progress: Progress | None = None
    best: BestWeights | None = None
    best_epoch: BestWeights | None = None
    init_card: ModelCard | None = None
    init_weights: dict[str, Tensor] | None = None
    teacher: nn.Sequential | None = None
    outliers: Tensor | None = None

    @property
    def eval_model(self) -> nn.Sequential:
        """The network to evaluate and to keep: the moving average, or the network itself."""
        return self.network if self.ema_model is None else self.ema_model

    @property
    def interrupted(self) -> bool:
        """Whether the run has ended before its recipe, by its patience aside."""
        return self.step < self.steps and not self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether the validation loss has not become lower for the recipe's patience."""
        losses = [row["validation_loss"] for row in self.history]
        return 0 < self.recipe.patience < len(losses) - losses.index(min(losses))

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every image is seen once."""
        return math.ceil(len(range(len(self.splits.train))[self.shard]) / self.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the whole run, at least one."""
        return max(1, round(self.recipe.epochs * self.steps_per_epoch))


def start(
    recipe: Recipe,
    splits: Splits | None = None,
    device: torch.device | None = None,
    precision: torch.dtype | None = None,
    init: Checkpoint | None = None,
) -> TrainState:
    """Seed the random numbers, load the images and build the network of a run.

    `splits` are the images where they are in memory already. `device` and `precision` default to
    the fastest ones. `init` is a checkpoint whose weights to start from, which stays as it is;
    `config.for_finetuning` gives a recipe for that. A batch larger than the training set and
    weights that do not fit the recipe's network are a `UserError`.
    """
    dataset = datasets.get_dataset(recipe.dataset)
    splits = splits or datasets.load(dataset, recipe.validation_size)
    device = device or hardware.device()
    precision = precision or hardware.amp_dtype(device)
    generator = torch.Generator().manual_seed(recipe.seed)
    started = time.perf_counter()
    if recipe.extra_synthetic:
        splits = splits._replace(train=_with_synthetic(splits.train, recipe))
    for name in recipe.strokes:
        drawn, held_out = pen_strokes.digits(name)
        splits = splits._replace(
            train=_join(splits.train, drawn), validation=_join(splits.validation, held_out)
        )
    if recipe.batch_size > len(splits.train):
        raise UserError(
            f"A batch of {recipe.batch_size:,} is larger than the {len(splits.train):,} training "
            "images. Choose a smaller batch size."
        )
    torch.manual_seed(recipe.seed)
    network = architectures.build(recipe.model, dataset, recipe.dropout)
    _move(network, device)
    if recipe.init_fraction and not init:
        raise UserError(
            "There are no initial weights to average with. Name a checkpoint to start from, or "
            "leave init_fraction at 0."
        )
    if init:
        _load_weights(network, init, recipe)
    else:
        architectures.init_whitening(
            network, inference.to_float(splits.train.images[:WHITENING_IMAGES], device)
        )
    seconds = time.perf_counter() - started
    return TrainState(
        recipe=recipe,
        splits=splits,
        network=network,
        forward=network,
        ema_model=copy.deepcopy(network) if recipe.ema_decay else None,
        optimizer=optimizers.build_optimizer(network, recipe),
        scaler=GradScaler(device.type, enabled=precision == torch.float16),
        generator=generator,
        flip_mask=torch.rand(len(splits.train), generator=generator) < 0.5,
        device=device,
        precision=precision,
        batch_size=recipe.batch_size,
        seconds=seconds,
        init_card=init and init.card,
        init_weights=init.network.state_dict() if init and recipe.init_fraction else None,
        teacher=_load_teacher(recipe.teacher, recipe.dataset, device) if recipe.teacher else None,
        outliers=outliers.load(recipe.outliers, dataset).train if recipe.outliers else None,
    )


def _load_teacher(name: str, dataset: str, device: torch.device) -> nn.Sequential:
    path = Path(name)
    bundled = checkpoints.BUNDLED / f"{name}{checkpoints.SUFFIX}"
    network, card, _ = checkpoints.load(bundled if bundled.exists() and not path.exists() else path)
    if card.dataset != dataset:
        raise UserError(
            f"{name!r} was trained on {card.dataset!r} and cannot teach "
            f"{dataset!r}. Choose a teacher of the same data set."
        )
    return _move(network, device)


def _move(network: nn.Sequential, device: torch.device) -> nn.Sequential:
    """Move a network to a device, its weights channels last in memory."""
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _load_weights(network: nn.Sequential, init: Checkpoint, recipe: Recipe) -> None:
    try:
        network.load_state_dict(init.network.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"The weights of {init.card.model!r} for {init.card.dataset!r} do not fit "
            f"{recipe.model!r} for {recipe.dataset!r}. Choose the same network."
        ) from error


def _with_synthetic(train: Split, recipe: Recipe) -> Split:
    images, labels = synthetic.synthetic_digits(recipe.extra_synthetic, seed=recipe.seed + 1)
    return _join(train, Split(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels)))


def _join(first: Split, second: Split) -> Split:
    return Split(*(torch.cat(pair) for pair in zip(first, second, strict=True)))
