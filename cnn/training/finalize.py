"""The end of a training run: the final evaluation, and the model card."""

import copy
import datetime
import platform
import re
import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from cnn import __version__, hardware
from cnn.data import augmentation, datasets, photos
from cnn.data.datasets import Split
from cnn.evaluation import inference, metrics
from cnn.evaluation.report import evaluate_for_card
from cnn.models import architectures, checkpoints
from cnn.models.card import ModelCard
from cnn.models.checkpoints import Checkpoint
from cnn.training.config import Recipe, to_args
from cnn.training.loop import fit
from cnn.training.presets import PRESETS
from cnn.training.state import TrainState, start

PHOTO = "photo"


def finalize(
    run: TrainState,
    reference_accuracy: float | None = None,
    make_default: bool = False,
    on_progress: Callable[[float], object] | None = None,
) -> Checkpoint:
    """Evaluate what was learned, on the test images once, and write the model card.

    The weights are the last or the best ones, as the recipe says, averaged with the initial ones
    where it says so, and rounded as a checkpoint file keeps them. Where the run started from
    another checkpoint, its epochs, seconds and command come first. `reference_accuracy`, stated by
    the network's author, and `make_default`, whether the network is its data set's default, are for
    the card. `on_progress` receives the fraction of the evaluation that is done, in [0, 1].
    """
    network = copy.deepcopy(run.eval_model).eval().requires_grad_(False)
    kept = run.best_epoch.progress if run.best_epoch else run.progress
    if run.best_epoch:
        network.load_state_dict(run.best_epoch.weights)
    recipe, dataset = run.recipe, datasets.get_dataset(run.recipe.dataset)
    if run.init_weights:
        average_weights(network, run.init_weights, recipe.init_fraction)
    checkpoints.round_to_half(network)
    validation = run.splits.validation
    augmented = (
        photo_copies(validation.images, recipe.seed) if PHOTO in recipe.augmentation else None
    )
    figures, predictions = evaluate_for_card(
        network, dataset, validation, run.splits.test, augmented, on_progress
    )
    card = ModelCard(
        dataset=recipe.dataset,
        model=recipe.model,
        classes=dataset.classes,
        parameters=architectures.count_parameters(network),
        config=asdict(recipe) | {"keep": recipe.kept_weights},
        seed=recipe.seed,
        train_accuracy=kept.train_accuracy if kept else 0.0,
        train_loss=kept.train_loss if kept else 0.0,
        **figures,
        ood_fitted_on=_describe_calibration(run),
        train_seconds=run.seconds + (run.init_card.train_seconds if run.init_card else 0.0),
        hardware=hardware.describe(run.device),
        device=run.device.type,
        precision=hardware.precision_name(run.precision),
        versions={
            "cnn": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        command=_command(run, reference_accuracy, make_default),
        is_default=make_default,
        reference_accuracy=reference_accuracy,
        interrupted=run.interrupted,
        history=_history(run, network, validation),
    )
    return Checkpoint(network.cpu(), card, predictions)


def photo_copies(images: Tensor, seed: int) -> Tensor:
    """Change images as the augmentation `photo` does and brighten them as photographs are.

    Takes and returns uint8 (N, C, H, W).
    """
    generator = torch.Generator().manual_seed(seed)
    changed = augmentation.photo(inference.to_float(images, torch.device("cpu")), generator)
    views = torch.cat([photos.brighten(image) for image in changed.split(1)])
    return views.mul(255).round().to(torch.uint8)


def _describe_calibration(run: TrainState) -> str:
    """Say on which images temperature and threshold were fitted."""
    recipe = run.recipe
    description = f"{len(run.splits.validation):,} validation images"
    if recipe.strokes:
        title = datasets.get_dataset(recipe.dataset).title
        description += f", held out of {title} and {', '.join(recipe.strokes)}"
    if PHOTO in recipe.augmentation:
        description += f" and a copy of each changed by {PHOTO}"
    return description


@torch.no_grad()
def average_weights(network: nn.Module, others: dict[str, torch.Tensor], fraction: float) -> None:
    """Move a network's weights and batch statistics towards others by a fraction, in place.

    Fine-tuned weights averaged with the initial ones keep the initial accuracy on the first data
    and most of what was learned: M. Wortsman and others, "Robust fine-tuning of zero-shot models"
    (2022).
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(others[name].to(tensor), fraction)


def _history(run: TrainState, network: nn.Module, validation: Split) -> list[dict[str, float]]:
    """List a row per epoch, with those of the checkpoint started from and a last, partial one."""
    rows = list(run.history)
    if run.progress and run.progress.validation_loss is None:
        logits = inference.logits(network, validation.images)
        measured = metrics.compute_metrics(logits, validation.labels)
        last = {"validation_loss": measured.loss, "validation_accuracy": measured.accuracy}
        rows.append(run.progress.row() | last)
    earlier = run.init_card.history if run.init_card else []
    if not earlier:
        return rows
    offsets = {name: earlier[-1][name] for name in ("epoch", "step", "steps", "seconds")}
    return earlier + [
        row | {name: row[name] + offset for name, offset in offsets.items()} for row in rows
    ]


def _command(run: TrainState, reference_accuracy: float | None, make_default: bool) -> str:
    """Write the command line that trains the network again."""
    words = ["python", "-m", "cnn", "train", *to_args(run.recipe)]
    if reference_accuracy is not None:
        words += ["--reference-accuracy", str(reference_accuracy)]
    if make_default:
        words.append("--make-default")
    if torch.are_deterministic_algorithms_enabled():
        words.append("--deterministic")
    words += ["--output", f"{_file_name(run.recipe)}.safetensors"]
    if not run.init_card:
        return shlex.join(words)
    parts = run.init_card.command.split(" && ")
    init = f"{_file_name(run.recipe)}-{len(parts)}.safetensors"
    parts[-1] = re.sub(r"--output \S+", f"--output {init}", parts[-1])
    return " && ".join([*parts, shlex.join([*words, "--init-from", init])])


def _file_name(recipe: Recipe) -> str:
    presets = (name for name, preset in PRESETS.items() if preset.recipe == recipe)
    return next(
        (name for name in presets if name.startswith(recipe.dataset)),
        f"{Path(recipe.dataset).stem}-{recipe.model.rpartition(':')[2]}",
    )


def train(recipe: Recipe) -> Checkpoint:
    """Train from beginning to end without reports: `train(preset("digits").recipe)`."""
    run = start(recipe)
    for _ in fit(run):
        pass
    return finalize(run)
