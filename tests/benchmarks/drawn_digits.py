"""Measure how a network predicts digits drawn with a pen.

    python tests/benchmarks/drawn_digits.py FILE... [--checkpoint FILE] [--goal FRACTION]
                                                    [--held-out]

Each FILE is an .npz of pen strokes, as `cnn.data.pen_strokes.read_npz` reads it, or one of its
names in the data folder. Each digit is drawn as on the page's pad, with a trembling hand, and
with thinner and thicker pens. `--held-out` keeps the contributors that training holds out.
Exits with 1 when the mean accuracy of a file misses the goal.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from cnn.data import pen_strokes, strokes  # noqa: E402
from cnn.data.drawings import digit_from_strokes  # noqa: E402
from cnn.evaluation import inference, metrics  # noqa: E402
from cnn.evaluation.prediction import CONFIDENT  # noqa: E402
from cnn.models import checkpoints  # noqa: E402

PENS = (1.6, 3.4)  # pixels in the box of 20; the page's is 2.4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--goal", type=float, default=0.97)
    parser.add_argument("--held-out", action="store_true")
    arguments = parser.parse_args()
    if arguments.checkpoint:
        checkpoint = checkpoints.load(arguments.checkpoint)
    else:
        checkpoint = checkpoints.load_default(checkpoints.BUNDLED, "mnist")
    means = [_measure(checkpoint, file, arguments.held_out) for file in arguments.files]
    return int(min(means) < arguments.goal)


def _measure(checkpoint: checkpoints.Checkpoint, file: str, held_out: bool) -> float:
    """Print a row per way of drawing; return the mean accuracy."""
    digits = pen_strokes.load(file)
    digits = digits.select([label in pen_strokes.DIGITS for label in digits.labels])
    if held_out:
        digits = pen_strokes.split(digits)[1]
    labels = torch.tensor([int(label) for label in digits.labels])
    print(f"{file}, n = {len(labels):,}        correct   doubted   confident and wrong")
    accuracies = []
    for name, images in _ways_of_drawing(digits.drawings):
        correct, doubted, wrong = _rates(checkpoint, images, labels)
        accuracies.append(correct)
        print(f"  {name:30} {correct:8.2%}  {doubted:8.2%}  {wrong:8.2%}", flush=True)
    print(f"  {'mean':30} {np.mean(accuracies):8.2%}")
    return float(np.mean(accuracies))


def _ways_of_drawing(drawings: list[list[np.ndarray]]):
    yield "on the pad", torch.cat([digit_from_strokes(drawing) for drawing in drawings])
    yield "with a trembling hand", torch.cat([digit_from_strokes(_shaken(d)) for d in drawings])
    for width in PENS:
        images = np.stack([strokes.rasterize(drawing, width) for drawing in drawings])
        yield f"pen {width} pixels wide", torch.from_numpy(images)[:, None]


def _shaken(drawing: list[np.ndarray]) -> list[np.ndarray]:
    """Move each point by a hundredth of the drawing's size."""
    generator = np.random.default_rng(0)
    extent = np.ptp(np.concatenate(drawing), axis=0).max()
    return [stroke + generator.normal(0, 0.01 * extent, stroke.shape) for stroke in drawing]


def _rates(checkpoint: checkpoints.Checkpoint, images: torch.Tensor, labels: torch.Tensor):
    """The fractions correct, out of distribution, and confident but wrong."""
    network, card = checkpoint.network, checkpoint.card
    logits = inference.logits(network, images, card.tta)
    confidence, predictions = (logits / card.temperature).softmax(1).max(1)
    doubted = metrics.OOD_SCORES[card.ood_score](logits) < card.ood_threshold
    wrong = (predictions != labels) & ~doubted & (confidence >= CONFIDENT)
    masks = predictions == labels, doubted, wrong
    return tuple(mask.float().mean().item() for mask in masks)


if __name__ == "__main__":
    sys.exit(main())
