"""Training: one loop, a generator, read by the command line and by the page.

run = start(recipe)
for progress in fit(run):
    ...                      # to stop, ask for no more
checkpoint = conclude(run)
"""

import copy
import datetime
import math
import platform
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from cnn import (
    UserError,
    augmentation,
    datasets,
    evaluation,
    hardware,
    models,
    optimization,
)
from cnn.checkpoints import Card, Checkpoint
from cnn.recipes import FLIP, PRESETS, Recipe, flags, preset
from cnn.runs import Progress, Run, start
from cnn.strangers import strangers

__all__ = ["PRESETS", "Progress", "Recipe", "Run", "conclude", "fit", "preset", "start", "train"]

SECONDS_BETWEEN_REPORTS = 1 / 6
FAMILIAR_DOUBTED = 0.05
TAUGHT = 0.9  # the teacher's share of the loss, the labels having the rest
SOFTENED = 4.0  # temperature at which a teacher is listened to
EXPLODED = 1_000.0  # a mean loss that no network has that only knows nothing


def fit(run: Run) -> Iterator[Progress]:
    """Follow the recipe to its end, reporting about six times a second and after every epoch.

    It ends early where the recipe's patience does.
    To stop, ask for no more: `run` keeps what was learnt. A loss that explodes or is no longer a
    number is a `UserError`; `run.answering` and `run.step` are then those of the lowest loss
    before it, step 0 where there was none.
    """
    steps, reported = run.steps, 0.0
    while run.step < steps:
        epoch = run.step // run.steps_an_epoch
        loss, right, seen = torch.zeros((), device=run.device), 0, 0
        run.network.train()
        begun = time.perf_counter()
        order = torch.randperm(len(run.splits.train), generator=run.generator)[run.share]
        for chosen in order.split(run.batch_size):
            images, labels = _batch(run, chosen, epoch)
            losses, hits = _step(run, images, labels)
            loss, right, seen = loss + losses, right + hits, seen + len(labels)
            run.step += 1
            done = run.step == steps or seen == len(order)
            waited = time.perf_counter() - reported
            if done or run.step == 1 or waited >= SECONDS_BETWEEN_REPORTS:
                means = loss.item() / seen, right.item() / seen  # a GPU has finished by now
                run.seconds += time.perf_counter() - begun
                yield _progress(run, epoch, *means, measured=done)
                begun = reported = time.perf_counter()
            if run.step == steps or (done and _patience_is_over(run)):
                return


def _patience_is_over(run: Run) -> bool:
    losses = [epoch["validation_loss"] for epoch in run.history]
    return 0 < run.recipe.patience < len(losses) - losses.index(min(losses))


def _batch(run: Run, chosen: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
    images, labels = run.splits.train[chosen]
    images = evaluation.to_float(images, run.device)
    for name in run.recipe.augmentation:
        if name == FLIP:
            mirrored = run.mirrored[chosen] ^ bool(epoch % 2)
            images = augmentation.flip(images, mirrored.to(run.device))
        else:
            images = augmentation.AUGMENTATIONS[name](images, run.generator)
    return images, labels.to(run.device)


def _step(run: Run, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the optimizer: the summed loss of the batch and how many it had right."""
    for group in run.optimizer.param_groups:
        group["lr"] = group["highest"] * optimization.rate(run.recipe, run.step / run.steps)
    low = run.precision != torch.float32
    with torch.autocast(run.device.type, run.precision, enabled=low):
        logits = run.network(images).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=run.recipe.label_smoothing)
        if run.teacher:
            loss = torch.lerp(loss, _disagreement(run.teacher, images, logits), TAUGHT)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if run.recipe.clip:
        nn.utils.clip_grad_norm_(run.network.parameters(), run.recipe.clip)
    run.optimizer.step()
    if run.recipe.average:
        _follow(run)
    return loss.detach() * len(labels), (logits.argmax(1) == labels).sum()


def _disagreement(teacher: nn.Sequential, images: Tensor, logits: Tensor) -> Tensor:
    """How far a network's shares for all classes are from its teacher's, both softened.

    G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network" (2015).
    """
    with torch.no_grad():
        taught = (teacher(images).float() / SOFTENED).softmax(1)
    said = (logits / SOFTENED).log_softmax(1)
    return functional.kl_div(said, taught, reduction="batchmean") * SOFTENED**2


@torch.no_grad()
def _follow(run: Run) -> None:
    """Move the averaged weights a little towards the network's; quicker while the run is young."""
    share = 1 - min(run.recipe.average, (1 + run.step) / (10 + run.step))
    pairs = zip(run.answering.state_dict().values(), run.network.state_dict().values(), strict=True)
    for mean, latest in pairs:
        if mean.is_floating_point():
            mean.lerp_(latest, share)
        else:
            mean.copy_(latest)


def _progress(
    run: Run, epoch: int, train_loss: float, train_accuracy: float, measured: bool
) -> Progress:
    watched = None
    if measured:
        validation = run.splits.validation
        answers = evaluation.logits(run.answering, validation.images, quick=True)
        watched = evaluation.measure(answers, validation.labels)
    _require_sound(run, train_loss, watched.loss if watched else 0.0)
    progress = Progress(
        step=run.step,
        steps=run.steps,
        epoch=epoch + 1,
        seconds=run.seconds,
        learning_rate=run.optimizer.param_groups[0]["lr"],
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        validation_loss=watched and watched.loss,
        validation_accuracy=watched and watched.accuracy,
        images_per_second=run.step * run.recipe.batch_size / max(run.seconds, 1e-9),
    )
    if measured:
        run.history.append(asdict(progress))
    return progress


def _require_sound(run: Run, train_loss: float, validation_loss: float) -> None:
    """Remember these weights where they are the best so far; go back to those where they broke."""
    lowest, step, weights = run.sound
    if not (train_loss < EXPLODED and math.isfinite(validation_loss)):
        broken, run.step = run.step, step
        if weights:
            run.answering.load_state_dict(weights)
        became = "exploded" if math.isfinite(train_loss) else "stopped being a number"
        raise UserError(
            f"The loss {became} at step {broken}. "
            f"Choose a learning rate below {run.recipe.learning_rate:g}."
        )
    if train_loss < lowest:
        latest = run.answering.state_dict()
        if all(tensor.isfinite().all() for tensor in latest.values()):
            run.sound = train_loss, run.step, copy.deepcopy(latest)


def conclude(run: Run) -> Checkpoint:
    """Measure what was learnt, on the test pictures once, and write the Card.

    The temperature and the threshold of familiarity come from the validation pictures. Where the
    run went on from another network, that one's epochs, seconds and command come first.
    """
    network = copy.deepcopy(run.answering).eval().requires_grad_(False)
    recipe, dataset = run.recipe, datasets.named(run.recipe.dataset)
    watched, test = run.splits.validation, run.splits.test
    validation = evaluation.logits(network, watched.images)
    temperature = evaluation.fit_temperature(validation, watched.labels)
    threshold = evaluation.familiarity(validation).quantile(FAMILIAR_DOUBTED).item()
    answers = evaluation.logits(network, test.images)
    measured = evaluation.measure(answers, test.labels)
    last = run.history[-1] if run.history else {}
    card = Card(
        dataset=recipe.dataset,
        model=recipe.model,
        classes=dataset.classes,
        parameters=models.parameters(network),
        recipe=asdict(recipe),
        seed=recipe.seed,
        train_accuracy=last.get("train_accuracy", 0.0),
        train_loss=last.get("train_loss", 0.0),
        validation_accuracy=evaluation.measure(validation, watched.labels).accuracy,
        test_accuracy=measured.accuracy,
        test_accuracy_averaged=evaluation.averaged_accuracy(network, test, dataset),
        test_loss=measured.loss,
        ece=evaluation.measure(answers, test.labels, temperature).ece,
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
        auroc=_auroc(network, dataset, evaluation.familiarity(answers)),
        history=_history(run),
    )
    return Checkpoint(network.cpu(), card)


def _history(run: Run) -> list[dict[str, float]]:
    before = run.origin.history if run.origin else []
    if not before:
        return run.history
    since = {name: before[-1][name] for name in ("epoch", "step", "steps", "seconds")}
    return before + [
        epoch | {name: epoch[name] + ahead for name, ahead in since.items()}
        for epoch in run.history
    ]


def _auroc(network: nn.Module, dataset: datasets.Dataset, familiar: Tensor) -> dict[str, float]:
    strange = {
        kind: evaluation.familiarity(evaluation.logits(network, pictures))
        for kind, pictures in strangers(dataset).items()
    }
    return {kind: evaluation.auroc(familiar, scores) for kind, scores in strange.items()}


def _command(run: Run) -> str:
    recipe = run.recipe
    presets = [name for name, known in PRESETS.items() if known == recipe]
    own = [name for name in presets if name.startswith(recipe.dataset)]
    name = own[0] if own else f"{recipe.dataset}-{recipe.model}"
    file = f"checkpoints/{name}.safetensors"
    words = ["python", "-m", "cnn", "train", *flags(recipe), "--output", file]
    if not run.origin:
        return shlex.join(words)
    origin = f"checkpoints/{run.origin.dataset}-{run.origin.model}.safetensors"
    return f"{run.origin.command} && {shlex.join([*words, '--continue-from', origin])}"


def train(recipe: Recipe) -> Checkpoint:
    """Follow a recipe from beginning to end, in silence: `train(PRESETS["digits"])`."""
    run = start(recipe)
    for _ in fit(run):
        pass
    return conclude(run)
