"""What a session keeps of the image that the page looks at: little, whatever was drawn."""

import sys

import numpy as np
import pytest
import torch

from cnn.data import drawings, synthetic
from cnn.evaluation.prediction import predict
from cnn.models.checkpoints import BUNDLED, ModelRegistry
from cnn.web import subject

MOST = 150_000  # bytes


def _size(value: object) -> int:
    """The bytes of nested lists, numbers and tensors."""
    if isinstance(value, torch.Tensor):
        return sys.getsizeof(value) + value.nbytes
    return sys.getsizeof(value) + sum(map(_size, value if isinstance(value, list) else ()))


def _scribble(strokes: int, points: int) -> list:
    random = np.random.default_rng(0)
    return random.normal(size=(strokes, points, 2)).cumsum(1).tolist()


@pytest.mark.parametrize(
    "drawing",
    [
        _scribble(1, drawings.MAX_POINTS),
        _scribble(drawings.MAX_STROKES, drawings.MAX_POINTS // drawings.MAX_STROKES),
        _scribble(drawings.MAX_STROKES, 1),
    ],
    ids=["one long stroke", "many strokes", "dots"],
)
def test_the_longest_drawing_takes_little_memory(drawing):
    kept = subject.from_strokes(drawing)
    assert _size(kept.strokes) + _size(kept.views) < MOST


@pytest.mark.parametrize("digit", range(10))
def test_the_kept_strokes_are_predicted_as_the_drawing(digit):
    network = ModelRegistry(BUNDLED).get("mnist-tiny-cnn")
    points = np.repeat(np.concatenate(synthetic.example(digit)), 200, 0)
    points += np.random.default_rng(digit).normal(scale=0.002, size=points.shape)
    drawn = [points.tolist()]
    kept = subject.from_strokes(drawn)
    again = subject.from_strokes(kept.strokes)
    assert again.strokes == kept.strokes
    whole, thinned = predict(network, kept.views), predict(network, again.views)
    assert thinned.verdict == whole.verdict
    assert thinned.probabilities == pytest.approx(whole.probabilities, abs=1e-3)
