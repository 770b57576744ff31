"""How often the page's digit network reads digits drawn with a pen.

    python tests/benchmarks/drawn_digits.py FILE [--checkpoint FILE] [--goal SHARE]

FILE is an .npz of pen strokes as UCI's "Pen-Based Recognition of Handwritten Digits" gives them:
`points` (P, 2) with y up, `stroke_start` and `sample_start` as offsets, `labels`. Each digit is
drawn on the page's pad at several sizes and places, with a steady and with a trembling hand, and
read through `digit_from_strokes`. Exits with 1 when the goal is missed.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from cnn.data import strokes  # noqa: E402
from cnn.data.drawings import digit_from_strokes  # noqa: E402
from cnn.evaluation import inference, metrics  # noqa: E402
from cnn.models import checkpoints  # noqa: E402


def drawings(path: Path) -> tuple[list[list[np.ndarray]], torch.Tensor]:
    """Each digit's strokes, float (points, 2) with y down, and the labels (N,)."""
    with np.load(path) as file:
        points = file["points"].astype(float) * (1, -1)
        lines = np.split(points, file["stroke_start"][1:])
        bounds = [*file["sample_start"], len(lines)]
        labels = torch.from_numpy(file["labels"].astype(np.int64))
    return [lines[bounds[i] : bounds[i + 1]] for i in range(len(labels))], labels


def placed(digit: list[np.ndarray], side: float, corner: float, tremor: float) -> list[list]:
    """The digit drawn `side` pixels large at `corner` on the pad, its points shaken by `tremor`."""
    low = np.min([line.min(0) for line in digit], 0)
    extent = max(np.max([line.max(0) for line in digit], 0) - low)
    generator = np.random.default_rng(0)
    return [
        ((line - low) / extent * side + corner + generator.normal(0, tremor, line.shape)).tolist()
        for line in digit
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--goal", type=float, default=0.97)
    arguments = parser.parse_args()
    if arguments.checkpoint:
        network, card = checkpoints.load(arguments.checkpoint)
    else:
        network, card = checkpoints.load_default(checkpoints.BUNDLED, "mnist")
    digits, labels = drawings(arguments.file)

    def accuracy(images: list) -> float:
        answers = inference.logits(network, torch.cat(images))
        return metrics.compute_metrics(answers, labels).accuracy

    print(f"{card.dataset}-{card.model}, {len(labels):,} drawn digits")
    shares = []
    for side, corner, tremor in ((300, 20, 0), (120, 200, 0), (60, 5, 0), (300, 20, 3)):
        images = [digit_from_strokes(placed(digit, side, corner, tremor)) for digit in digits]
        shares.append(accuracy(images))
        print(f"  {side:3} pixels large at {corner:3}, tremor {tremor}: {shares[-1]:.2%}")
    for width in (1.6, strokes.PEN, 3.4):
        images = [torch.from_numpy(strokes.rasterize(digit, width))[None, None] for digit in digits]
        shares.append(accuracy(images))
        print(f"  pen {width:.1f} pixels wide in the box of 20: {shares[-1]:.2%}")
    mean = float(np.mean(shares))
    verdict = "met" if mean >= arguments.goal else "missed"
    print(f"mean {mean:.2%}, goal {arguments.goal:.2%}: {verdict}")
    return 0 if mean >= arguments.goal else 1


if __name__ == "__main__":
    sys.exit(main())
