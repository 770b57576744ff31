"""Fine-tuning a network on a few drawings of one person, without forgetting what it knows.

The drawings are drawn anew with random pens and mixed with images of the data set (rehearsal), and
the final weights are averaged with the initial ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from cnn import UserError
from cnn.data import datasets, pen_strokes
from cnn.data.datasets import Split
from cnn.data.pen_strokes import PenStrokes
from cnn.evaluation import inference, metrics
from cnn.models.card import ModelCard
from cnn.models.checkpoints import Checkpoint
from cnn.training.config import Recipe

REHEARSAL_IMAGES = 4_000  # of the data set, beside somebody's own examples
EXAMPLES_FRACTION = 1 / 4  # of the images that a run with own examples sees
EXAMPLE_IMAGES = round(REHEARSAL_IMAGES * EXAMPLES_FRACTION / (1 - EXAMPLES_FRACTION))


@dataclass(frozen=True)
class Comparison:
    """A network before and after fine-tuning: examples predicted correctly, test accuracies."""

    examples: int
    correct_before: int
    correct_after: int
    test_accuracy_before: float
    test_accuracy_after: float


def recipe(card: ModelCard) -> Recipe:
    """Return the hyperparameters with which to fine-tune a network for digits in a few seconds.

    It rehearses MNIST, or synthetic digits where MNIST is not on this machine.
    """
    return Recipe(
        dataset=_rehearsal_dataset(),
        model=card.model,
        epochs=1.0,
        batch_size=64,
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="triangular",
        augmentation=("affine",),
        init_fraction=0.5,
        validation_size=1_000,
    )


def _rehearsal_dataset() -> str:
    try:
        datasets.load_test(datasets.MNIST)
    except UserError:
        return datasets.SYNTHETIC.name
    return datasets.MNIST.name


def draw_examples(
    drawings: Sequence[Sequence[np.ndarray]], labels: Sequence[int], seed: int = 0
) -> Split:
    """Draw each drawing, strokes (points, 2) with y down, many times, each time a little changed.

    Pen, slant, rotation and tremor vary; all together there are about `EXAMPLE_IMAGES` images.
    """
    copies = math.ceil(EXAMPLE_IMAGES / len(drawings))
    images = pen_strokes.rasterize_varied(_strokes(drawings, labels), copies, seed)
    return Split(images, torch.tensor(labels).repeat_interleave(copies))


def mix(train: Split, examples: Split) -> Split:
    """Mix some of the data set's images with examples, repeated to be a fixed fraction."""
    step = max(1, len(train) // REHEARSAL_IMAGES)
    images, labels = train.images[::step], train.labels[::step]
    target = len(images) * EXAMPLES_FRACTION / (1 - EXAMPLES_FRACTION)
    repeats = max(1, round(target / len(examples)))
    return Split(
        torch.cat([images, examples.images.repeat(repeats, 1, 1, 1)]),
        torch.cat([labels, examples.labels.repeat(repeats)]),
    )


def initial_accuracy(checkpoint: Checkpoint, dataset: str, test: Split) -> float:
    """Return a network's accuracy on a data set's test images, from its card where that has it."""
    if checkpoint.card.dataset == dataset:
        return checkpoint.card.test_accuracy
    return metrics.accuracy(inference.logits(checkpoint.network, test.images), test.labels)


def keep_calibration(after: Checkpoint, before: Checkpoint) -> Checkpoint:
    """Return the fine-tuned network with the temperature and threshold of the one before.

    Those may be fitted on more ways of writing than are rehearsed; fitted anew they make a third
    to twice as many drawings count as out of distribution.
    """
    names = "temperature", "ood_threshold", "ood_fitted_on"
    card = replace(after.card, **{name: getattr(before.card, name) for name in names})
    return after._replace(card=card)


def compare(
    before: Checkpoint,
    after: Checkpoint,
    drawings: Sequence[Sequence[np.ndarray]],
    labels: Sequence[int],
    test_accuracy_before: float,
) -> Comparison:
    """Compare a network before and after fine-tuning on drawings, drawn with the pad's pen."""
    images, truth = pen_strokes.rasterize(_strokes(drawings, labels)), torch.tensor(labels)

    def count(checkpoint: Checkpoint) -> int:
        logits = inference.logits(checkpoint.network, images, checkpoint.card.tta)
        return int((logits.argmax(1) == truth).sum())

    return Comparison(
        len(labels),
        count(before),
        count(after),
        test_accuracy_before,
        after.card.test_accuracy,
    )


def _strokes(drawings: Sequence[Sequence[np.ndarray]], labels: Sequence[int]) -> PenStrokes:
    return PenStrokes([list(drawing) for drawing in drawings], list(map(str, labels)), None)
