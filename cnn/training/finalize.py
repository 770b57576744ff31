"""Split off."""

import copy
import datetime
import platform
import shlex
from dataclasses import asdict

import torch
import torchvision
from torch import Tensor, nn

from cnn import hardware
from cnn.data import datasets
from cnn.data.ood import ood_images
from cnn.evaluation import inference, metrics
from cnn.models import architectures
from cnn.models.checkpoints import Checkpoint, ModelCard
from cnn.training.config import Recipe, to_args
from cnn.training.loop import fit
from cnn.training.presets import PRESETS
from cnn.training.state import TrainState, start

OOD_FALSE_POSITIVE_RATE = 0.05


def finalize(run: TrainState) -> Checkpoint:
    """Measure what was learnt, on the test pictures once, and write the Card.

    The temperature and the threshold of familiarity come from the validation pictures. Where the
    run went on from another network, that one's epochs, seconds and command come first.
    """
    network = copy.deepcopy(run.answering).eval().requires_grad_(False)
    recipe, dataset = run.recipe, datasets.get_dataset(run.recipe.dataset)
    watched, test = run.splits.validation, run.splits.test
    validation = inference.logits(network, watched.images)
    temperature = metrics.fit_temperature(validation, watched.labels)
    threshold = metrics.energy_score(validation).quantile(OOD_FALSE_POSITIVE_RATE).item()
    answers = inference.logits(network, test.images)
    measured = metrics.compute_metrics(answers, test.labels)
    last = run.history[-1] if run.history else {}
    card = ModelCard(
        dataset=recipe.dataset,
        model=recipe.model,
        classes=dataset.classes,
        parameters=architectures.count_parameters(network),
        recipe=asdict(recipe),
        seed=recipe.seed,
        train_accuracy=last.get("train_accuracy", 0.0),
        train_loss=last.get("train_loss", 0.0),
        validation_accuracy=metrics.compute_metrics(validation, watched.labels).accuracy,
        test_accuracy=measured.accuracy,
        test_accuracy_averaged=metrics.tta_accuracy(network, test, dataset),
        test_loss=measured.loss,
        ece=metrics.compute_metrics(answers, test.labels, temperature).ece,
        ece_uncalibrated=measured.ece,
        temperature=temperature,
        threshold=threshold,
        seconds=run.seconds + (run.origin.seconds if run.origin else 0.0),
        hardware=hardware.describe(run.device),
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        command=_command(run),
        default=recipe.default,
        claim=recipe.claim,
        auroc=_ood_auroc(network, dataset, metrics.energy_score(answers)),
        history=_history(run),
    )
    return Checkpoint(network.cpu(), card)


def _history(run: TrainState) -> list[dict[str, float]]:
    before = run.origin.history if run.origin else []
    if not before:
        return run.history
    since = {name: before[-1][name] for name in ("epoch", "step", "steps", "seconds")}
    return before + [
        epoch | {name: epoch[name] + ahead for name, ahead in since.items()}
        for epoch in run.history
    ]


def _ood_auroc(network: nn.Module, dataset: datasets.Dataset, familiar: Tensor) -> dict[str, float]:
    strange = {
        kind: metrics.energy_score(inference.logits(network, pictures))
        for kind, pictures in ood_images(dataset).items()
    }
    return {kind: metrics.auroc(familiar, scores) for kind, scores in strange.items()}


def _command(run: TrainState) -> str:
    recipe = run.recipe
    presets = [name for name, known in PRESETS.items() if known == recipe]
    own = [name for name in presets if name.startswith(recipe.dataset)]
    name = own[0] if own else f"{recipe.dataset}-{recipe.model}"
    file = f"checkpoints/{name}.safetensors"
    words = ["python", "-m", "cnn", "train", *to_args(recipe), "--output", file]
    if not run.origin:
        return shlex.join(words)
    origin = f"checkpoints/{run.origin.dataset}-{run.origin.model}.safetensors"
    return f"{run.origin.command} && {shlex.join([*words, '--continue-from', origin])}"


def train(recipe: Recipe) -> Checkpoint:
    """Follow a recipe from beginning to end, in silence: `train(PRESETS["digits"])`."""
    run = start(recipe)
    for _ in fit(run):
        pass
    return finalize(run)
