"""What a network says of one picture, and how far to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cnn import UserError
from cnn.data.datasets import get_dataset
from cnn.evaluation import metrics
from cnn.models.checkpoints import Checkpoint

CONFIDENT = 0.9
ENSEMBLE = "mean of all"

Verdict = Literal["empty", "sure", "unsure", "unfamiliar"]


@dataclass(frozen=True)
class Prediction:
    """A probability in [0, 1] for each class, in the data set's order, and a verdict.

    `empty`: there is nothing on the picture. `unfamiliar`: it is probably none of the classes.
    `sure`: the calibrated probability of the best class is at least 0.9. Else `unsure`.
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


@torch.inference_mode()
def predict(checkpoint: Checkpoint, image: Tensor) -> Prediction:
    """What the checkpoint's network says of one picture.

    `image` is float32 (V, C, H, W) in [0, 1]: one view of it, or several to be averaged; where a
    mirror image shows the same thing, the mirror images are looked at too. The probabilities
    are those of the Card's temperature. An empty picture gets equal probabilities.
    """
    card = checkpoint.card
    answer = logits(checkpoint, image)
    if not get_dataset(card.dataset).mirrored and not image.any():
        share = 1 / len(card.classes)
        return Prediction(card.classes, (share,) * len(card.classes), "empty")
    probabilities = tuple((answer / card.temperature).softmax(0).tolist())
    return Prediction(card.classes, probabilities, _verdict(answer, max(probabilities), card))


@torch.inference_mode()
def logits(checkpoint: Checkpoint, image: Tensor) -> Tensor:
    """What the network answers before softmax and temperature: (classes,), over all views.

    `image` is that of `predict`.
    """
    dataset = get_dataset(checkpoint.card.dataset)
    if image.shape[1:] != (dataset.channels, dataset.size, dataset.size):
        raise UserError(
            f"A picture of shape {tuple(image.shape)} does not fit {dataset.title}. "
            f"Give (views, {dataset.channels}, {dataset.size}, {dataset.size})."
        )
    looks = torch.cat([image, image.flip(-1)]) if dataset.mirrored else image
    return checkpoint.network(looks).mean(0)


def compare_models(
    networks: Mapping[str, Checkpoint], image: Tensor
) -> dict[str, tuple[float, ...]]:
    """The probabilities of several networks for one picture, by their names, and their mean."""
    found = {name: predict(network, image).probabilities for name, network in networks.items()}
    mean = tuple(sum(column) / len(found) for column in zip(*found.values(), strict=True))
    return found | {ENSEMBLE: mean}


def _verdict(answer: Tensor, probability: float, card) -> Verdict:
    if metrics.energy_score(answer).item() < card.threshold:
        return "unfamiliar"
    return "sure" if probability >= CONFIDENT else "unsure"
