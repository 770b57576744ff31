"""Training: one loop, a generator, read by the command line and by the page.

run = start(recipe)
for progress in fit(run):
    ...                      # to stop, ask for no more
checkpoint = conclude(run)
"""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnn import UserError
from cnn.data import augmentation
from cnn.evaluation import inference, metrics
from cnn.training import optimizers
from cnn.training.config import FLIP
from cnn.training.state import Progress, TrainState

SECONDS_BETWEEN_REPORTS = 1 / 6
DISTILL_WEIGHT = 0.9  # the teacher's share of the loss, the labels having the rest
DISTILL_TEMPERATURE = 4.0  # temperature at which a teacher is listened to
DIVERGED = 1_000.0  # a mean loss that no network has that only knows nothing


def fit(run: TrainState) -> Iterator[Progress]:
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
            losses, hits = _step(run, images, labels, _outlier_batch(run))
            loss, right, seen = loss + losses, right + hits, seen + len(labels)
            run.step += 1
            done = run.step == steps or seen == len(order)
            waited = time.perf_counter() - reported
            if done or run.step == 1 or waited >= SECONDS_BETWEEN_REPORTS:
                means = loss.item() / seen, right.item() / seen  # a GPU has finished by now
                run.seconds += time.perf_counter() - begun
                yield _progress(run, epoch, *means, measured=done)
                begun = reported = time.perf_counter()
            if run.step == steps or (done and _should_stop_early(run)):
                return


def _should_stop_early(run: TrainState) -> bool:
    losses = [epoch["validation_loss"] for epoch in run.history]
    return 0 < run.recipe.patience < len(losses) - losses.index(min(losses))


def _batch(run: TrainState, chosen: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
    images, labels = run.splits.train[chosen]
    mirrored = run.mirrored[chosen] ^ bool(epoch % 2)
    return _augment(run, images, mirrored), labels.to(run.device)


def _outlier_batch(run: TrainState) -> Tensor | None:
    """Half as many outliers as a batch has images, augmented like them."""
    if run.outliers is None:
        return None
    size = run.recipe.batch_size // 2
    drawn = torch.randint(len(run.outliers), (size,), generator=run.generator)
    drawn = drawn[run.share.start :: run.share.step]
    mirrored = torch.rand(len(drawn), generator=run.generator) < 0.5
    return _augment(run, run.outliers[drawn], mirrored)


def _augment(run: TrainState, images: Tensor, mirrored: Tensor) -> Tensor:
    images = inference.to_float(images, run.device)
    for name in run.recipe.augmentation:
        if name == FLIP:
            images = augmentation.flip(images, mirrored.to(run.device))
        else:
            images = augmentation.AUGMENTATIONS[name](images, run.generator)
    return images


def _step(
    run: TrainState, images: Tensor, labels: Tensor, outliers: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One step of the optimizer: the summed cross entropy of the images and how many are right.

    Label smoothing, a teacher and outliers change what is learnt and not what is reported.
    """
    for group in run.optimizer.param_groups:
        group["lr"] = group["highest"] * optimizers.lr_factor(run.recipe, run.step / run.steps)
    low = run.precision != torch.float32
    with torch.autocast(run.device.type, run.precision, enabled=low):
        inputs = images if outliers is None else torch.cat([images, outliers])
        logits, outlier_logits = run.network(inputs).float().tensor_split([len(images)])
        loss = functional.cross_entropy(logits, labels, label_smoothing=run.recipe.label_smoothing)
        if run.teacher:
            loss = torch.lerp(loss, _distillation_loss(run.teacher, images, logits), DISTILL_WEIGHT)
        if outliers is not None:
            loss = loss + run.recipe.outlier_weight * _outlier_loss(outlier_logits)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if run.recipe.clip:
        nn.utils.clip_grad_norm_(run.network.parameters(), run.recipe.clip)
    run.optimizer.step()
    if run.recipe.average:
        _update_ema(run)
    logits = logits.detach()
    cross_entropy = functional.cross_entropy(logits, labels, reduction="sum")
    return cross_entropy, (logits.argmax(1) == labels).sum()


def _outlier_loss(logits: Tensor) -> Tensor:
    """Cross entropy between the probabilities of outliers and equal ones for all classes.

    D. Hendrycks, M. Mazeika and T. Dietterich, "Deep anomaly detection with outlier exposure"
    (2019).
    """
    return -logits.log_softmax(1).mean()


def _distillation_loss(teacher: nn.Sequential, images: Tensor, logits: Tensor) -> Tensor:
    """How far a network's shares for all classes are from its teacher's, both softened.

    G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network" (2015).
    """
    with torch.no_grad():
        taught = (teacher(images).float() / DISTILL_TEMPERATURE).softmax(1)
    said = (logits / DISTILL_TEMPERATURE).log_softmax(1)
    return functional.kl_div(said, taught, reduction="batchmean") * DISTILL_TEMPERATURE**2


@torch.no_grad()
def _update_ema(run: TrainState) -> None:
    """Move the averaged weights a little towards the network's; quicker while the run is young."""
    share = 1 - min(run.recipe.average, (1 + run.step) / (10 + run.step))
    pairs = zip(run.answering.state_dict().values(), run.network.state_dict().values(), strict=True)
    for mean, latest in pairs:
        if mean.is_floating_point():
            mean.lerp_(latest, share)
        else:
            mean.copy_(latest)


def _progress(
    run: TrainState, epoch: int, train_loss: float, train_accuracy: float, measured: bool
) -> Progress:
    watched = None
    if measured:
        validation = run.splits.validation
        answers = inference.logits(run.answering, validation.images, quick=True)
        watched = metrics.compute_metrics(answers, validation.labels)
    _guard_divergence(run, train_loss, watched.loss if watched else 0.0)
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


def _guard_divergence(run: TrainState, train_loss: float, validation_loss: float) -> None:
    """Remember these weights where they are the best so far; go back to those where they broke."""
    lowest, step, weights = run.sound
    if not (train_loss < DIVERGED and math.isfinite(validation_loss)):
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
