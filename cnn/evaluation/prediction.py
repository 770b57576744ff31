"""The prediction for one image, and how far to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cnn import UserError, hardware
from cnn.data.datasets import get_dataset
from cnn.evaluation import inference, metrics
from cnn.models.checkpoints import Checkpoint

CONFIDENT = 0.9
ENSEMBLE = "mean of all"

Verdict = Literal["blank", "confident", "uncertain", "out_of_distribution"]


@dataclass(frozen=True)
class Prediction:
    """A probability in [0, 1] for each class, in the data set's order, and a verdict.

    "blank": nothing is drawn. "out_of_distribution": the image probably shows none of the
    classes. "confident": the calibrated probability of the best class is at least 0.9. Else
    "uncertain".
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    verdict: Verdict

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Classes with their probabilities, the most likely first."""
        pairs = zip(self.classes, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])

    @property
    def label(self) -> str:
        """The most likely class."""
        return self.ranked[0][0]

    @property
    def probability(self) -> float:
        """The probability of the most likely class."""
        return self.ranked[0][1]


def predict(checkpoint: Checkpoint, image: Tensor) -> Prediction:
    """Predict the class of one image with the card's temperature and test-time augmentation.

    `image` is float32 (V, C, H, W) in [0, 1]: one view of it, or several to be averaged. A blank
    drawing gets equal probabilities.
    """
    return _interpret(checkpoint, logits(checkpoint, image), is_blank=not image.any())


def predict_batch(checkpoint: Checkpoint, images: Tensor) -> list[Prediction]:
    """Predict the class of each of several images, float32 (N, C, H, W) in [0, 1], as `predict`."""
    outputs = inference.logits(checkpoint.network, images, checkpoint.card.tta)
    return [
        _interpret(checkpoint, output, is_blank=not image.any())
        for output, image in zip(outputs, images, strict=True)
    ]


def _interpret(checkpoint: Checkpoint, output: Tensor, is_blank: bool) -> Prediction:
    card = checkpoint.card
    if get_dataset(card.dataset).input == "strokes" and is_blank:
        uniform = 1 / len(card.classes)
        return Prediction(card.classes, (uniform,) * len(card.classes), "blank")
    probabilities = tuple((output / card.temperature).softmax(0).tolist())
    verdict: Verdict = "confident" if max(probabilities) >= CONFIDENT else "uncertain"
    if ood_score(checkpoint, output) < card.ood_threshold:
        verdict = "out_of_distribution"
    return Prediction(card.classes, probabilities, verdict)


def ood_score(checkpoint: Checkpoint, output: Tensor) -> float:
    """Compute the score of logits (classes,) that the card's `ood_threshold` is compared with."""
    return metrics.OOD_SCORES[checkpoint.card.ood_score](output).item()


def logits(checkpoint: Checkpoint, image: Tensor) -> Tensor:
    """Compute the logits (classes,) of one image, given as in `predict`, before temperature.

    Photographs are computed in bfloat16 where the hardware multiplies in it: it takes 0.6 of the
    time, and of 1,500 test images of CIFAR-10 two get another class and one less is correct.
    """
    dataset = get_dataset(checkpoint.card.dataset)
    if image.shape[1:] != (dataset.channels, dataset.size, dataset.size):
        raise UserError(
            f"An image of shape {tuple(image.shape)} does not fit {dataset.title}. "
            f"Give (views, {dataset.channels}, {dataset.size}, {dataset.size})."
        )
    is_photograph = dataset.input == "photo"
    dtype = hardware.amp_dtype(torch.device("cpu")) if is_photograph else torch.float32
    return inference.logits(checkpoint.network, image, checkpoint.card.tta, dtype).mean(0)


def compare_models(
    networks: Mapping[str, Checkpoint], image: Tensor
) -> dict[str, tuple[float, ...]]:
    """Return the probabilities of several networks for one image by name, and their mean."""
    predictions = {
        name: predict(network, image).probabilities for name, network in networks.items()
    }
    columns = zip(*predictions.values(), strict=True)
    return predictions | {ENSEMBLE: tuple(sum(column) / len(predictions) for column in columns)}
