"""The training loop: a generator of `Progress`, read by the command line and by the page.

run = start(recipe)
for progress in fit(run):
    ...                      # to stop, leave the loop
checkpoint = finalize(run)
"""

import copy
import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnn import UserError, hardware
from cnn.data import augmentation
from cnn.evaluation import inference, metrics
from cnn.training import optimizers
from cnn.training.config import FLIP
from cnn.training.state import BestWeights, Progress, TrainState

REPORT_SECONDS = 1 / 6
DISTILL_WEIGHT = 0.9  # of the teacher's loss; the labels have the rest
DISTILL_TEMPERATURE = 4.0
DIVERGED = 1_000.0  # mean loss; chance is ln 10 = 2.3


def fit(run: TrainState) -> Iterator[Progress]:
    """Train to the end of the recipe, reporting about six times a second and after every epoch.

    Ends early where the recipe's patience does. To stop, leave the loop: `run` keeps what was
    learned. A loss that diverges is a `UserError`; `run` is then back where its loss was lowest,
    or at step 0 where there is no such step.
    """
    with hardware.reuse_memory():
        yield from _epochs(run)


def _epochs(run: TrainState) -> Iterator[Progress]:
    steps, reported = run.steps, 0.0
    while run.step < steps:
        epoch = run.step // run.steps_per_epoch
        loss, seen = torch.zeros((), device=run.device), 0
        correct = torch.zeros((), dtype=torch.int64, device=run.device)
        run.network.train()
        started = time.perf_counter()
        order = torch.randperm(len(run.splits.train), generator=run.generator)[run.shard]
        for indices in order.split(run.batch_size):
            images, labels = _batch(run, indices, epoch)
            batch_loss, batch_correct = _step(run, images, labels, _outlier_batch(run))
            loss, correct, seen = loss + batch_loss, correct + batch_correct, seen + len(labels)
            run.step += 1
            ends_epoch = run.step == steps or seen == len(order)
            since_report = time.perf_counter() - reported
            if ends_epoch or run.step == 1 or since_report >= REPORT_SECONDS:
                means = loss.item() / seen, correct.item() / seen  # waits for a GPU
                batch_means = batch_loss.item() / len(labels), batch_correct.item() / len(labels)
                run.seconds += time.perf_counter() - started
                yield _report(run, epoch, means, batch_means, ends_epoch)
                started = reported = time.perf_counter()
            if run.step == steps or (ends_epoch and run.out_of_patience):
                return


def _batch(run: TrainState, indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
    images, labels = run.splits.train[indices]
    flip_mask = run.flip_mask[indices] ^ bool(epoch % 2)
    return _augment(run, images, flip_mask), labels.to(run.device)


def _outlier_batch(run: TrainState) -> Tensor | None:
    """Draw half as many outliers as a batch has images, augmented like them."""
    if run.outliers is None:
        return None
    size = run.recipe.batch_size // 2
    indices = torch.randint(len(run.outliers), (size,), generator=run.generator)
    indices = indices[run.shard.start :: run.shard.step]
    flip_mask = torch.rand(len(indices), generator=run.generator) < 0.5
    return _augment(run, run.outliers[indices], flip_mask)


def _augment(run: TrainState, images: Tensor, flip_mask: Tensor) -> Tensor:
    images = inference.to_float(images, run.device)
    for name in run.recipe.augmentation:
        if name == FLIP:
            images = augmentation.flip(images, flip_mask.to(run.device))
        else:
            images = augmentation.AUGMENTATIONS[name](images, run.generator)
    return images


def _step(
    run: TrainState, images: Tensor, labels: Tensor, outliers: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Take one optimizer step; return the summed cross entropy and the number correct.

    Label smoothing, distillation and outliers change the gradient and not the reported loss.
    """
    recipe = run.recipe
    optimizers.set_learning_rate(run.optimizer, recipe, run.step / run.steps)
    mixed = run.precision != torch.float32
    with torch.autocast(run.device.type, run.precision, enabled=mixed):
        inputs = images if outliers is None else torch.cat([images, outliers])
        logits, outlier_logits = run.forward(inputs).float().tensor_split([len(images)])
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if run.teacher is not None:
            loss = torch.lerp(loss, _distillation_loss(run.teacher, images, logits), DISTILL_WEIGHT)
        if outliers is not None:
            loss = loss + recipe.outlier_weight * _outlier_loss(outlier_logits)
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(loss).backward()
    if recipe.max_grad_norm:
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.network.parameters(), recipe.max_grad_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    if run.ema_model is not None:
        _update_ema(run, run.ema_model)
    logits = logits.detach()
    cross_entropy = functional.cross_entropy(logits, labels, reduction="sum")
    return cross_entropy, (logits.argmax(1) == labels).sum()


def _outlier_loss(logits: Tensor) -> Tensor:
    """Compute the cross entropy between the probabilities of outliers and equal ones.

    D. Hendrycks, M. Mazeika and T. Dietterich, "Deep anomaly detection with outlier exposure"
    (2019).
    """
    return -logits.log_softmax(1).mean()


def _distillation_loss(teacher: nn.Sequential, images: Tensor, logits: Tensor) -> Tensor:
    """Compute the divergence of the probabilities from the teacher's, both softened.

    G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network" (2015).
    """
    with torch.no_grad():
        targets = (teacher(images).float() / DISTILL_TEMPERATURE).softmax(1)
    log_probabilities = (logits / DISTILL_TEMPERATURE).log_softmax(1)
    divergence = functional.kl_div(log_probabilities, targets, reduction="batchmean")
    return divergence * DISTILL_TEMPERATURE**2


@torch.no_grad()
def _update_ema(run: TrainState, ema_model: nn.Module) -> None:
    """Move the averaged weights towards the network's, in larger steps while the run is young."""
    weight = 1 - min(run.recipe.ema_decay, (1 + run.step) / (10 + run.step))
    pairs = zip(ema_model.state_dict().values(), run.network.state_dict().values(), strict=True)
    for mean, latest in pairs:
        if mean.is_floating_point():
            mean.lerp_(latest, weight)
        else:
            mean.copy_(latest)


def _report(
    run: TrainState,
    epoch: int,
    means: tuple[float, float],
    batch_means: tuple[float, float],
    ends_epoch: bool,
) -> Progress:
    """Describe the run after its last step, measured on the validation images after an epoch."""
    validation = None
    if ends_epoch:
        images, labels = run.splits.validation
        logits = inference.logits(run.eval_model, images, dtype=run.precision)
        validation = metrics.compute_metrics(logits, labels)
    progress = Progress(
        step=run.step,
        steps=run.steps,
        epoch=epoch + 1,
        seconds=run.seconds,
        learning_rate=run.optimizer.param_groups[0]["lr"],
        train_loss=means[0],
        train_accuracy=means[1],
        validation_loss=None if validation is None else validation.loss,
        validation_accuracy=None if validation is None else validation.accuracy,
        images_per_second=run.step * run.recipe.batch_size / max(run.seconds, 1e-9),
        batch_loss=batch_means[0],
        batch_accuracy=batch_means[1],
    )
    _guard_divergence(run, progress)
    run.progress = progress
    if ends_epoch:
        run.history.append(progress.row())
        if run.recipe.kept_weights == "best":
            _keep_best_epoch(run, progress)
    return progress


def _keep_best_epoch(run: TrainState, progress: Progress) -> None:
    loss = progress.validation_loss
    lowest = run.best_epoch.progress.validation_loss if run.best_epoch else None
    assert loss is not None  # at the end of an epoch
    if lowest is None or loss < lowest:
        run.best_epoch = BestWeights(progress, copy.deepcopy(run.eval_model.state_dict()))


def _guard_divergence(run: TrainState, progress: Progress) -> None:
    """Remember the weights if their loss is the lowest so far; fall back to those on divergence."""
    validation_loss = progress.validation_loss or 0.0
    if not (progress.train_loss < DIVERGED and math.isfinite(validation_loss)):
        _restore_best(run)
        became = "exploded" if math.isfinite(progress.train_loss) else "stopped being a number"
        raise UserError(
            f"The loss {became} at step {progress.step}. "
            f"Choose a learning rate below {run.recipe.learning_rate:g}."
        )
    if run.best is None or progress.train_loss < run.best.progress.train_loss:
        weights = run.eval_model.state_dict()
        if all(tensor.isfinite().all() for tensor in weights.values()):
            run.best = BestWeights(progress, copy.deepcopy(weights))


def _restore_best(run: TrainState) -> None:
    """Put the run back where its loss was lowest: weights, step, figures and history."""
    run.step, run.progress = 0, None
    if run.best:
        run.eval_model.load_state_dict(run.best.weights)
        run.step, run.progress = run.best.progress.step, run.best.progress
    run.history = [row for row in run.history if row["step"] <= run.step]
