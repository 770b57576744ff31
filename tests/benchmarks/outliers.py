"""Measure how often inputs that show none of the classes are called out of distribution.

    python tests/benchmarks/outliers.py FILE... [--checkpoint FILE] [--held-out] [--goal FRACTION]

Each FILE is an .npz of pen strokes, one of the names of `cnn.data.pen_strokes`, drawn as on the
page's pad without those that may look like digits; or an .npz with images, uint8 (N, C, H, W).
"synthetic_symbols" and "cifar100" are what training knows by these names. `--held-out` keeps
what training holds out. AUROC is against the data set's test images. Exits with 1 when a file
misses the goal.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from cnn.data import datasets, outliers, pen_strokes  # noqa: E402
from cnn.data.drawings import digit_from_strokes  # noqa: E402
from cnn.evaluation import inference, metrics  # noqa: E402
from cnn.evaluation.prediction import CONFIDENT  # noqa: E402
from cnn.models import checkpoints  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--goal", type=float, default=0.92)
    arguments = parser.parse_args()
    if arguments.checkpoint:
        network, card, _ = checkpoints.load(arguments.checkpoint)
    else:
        network, card, _ = checkpoints.load_default(checkpoints.BUNDLED, "mnist")
    dataset = datasets.get_dataset(card.dataset)
    score = metrics.OOD_SCORES[card.ood_score]
    in_dist = score(inference.logits(network, datasets.load(dataset).test.images, card.tta))
    print(f"{'':34}     n   out of distribution   AUROC   confident")
    lowest = 1.0
    for file in arguments.files:
        images = _images(file, dataset, arguments.held_out)
        logits = inference.logits(network, images, card.tta)
        detected = score(logits) < card.ood_threshold
        confidence = (logits / card.temperature).softmax(1).max(1).values
        confident = (confidence >= CONFIDENT) & ~detected
        rate, sure = (mask.float().mean().item() for mask in (detected, confident))
        area = metrics.auroc(in_dist, score(logits))
        print(f"{file:34} {len(images):6,}  {rate:18.2%}  {area:7.4f}  {sure:8.2%}", flush=True)
        lowest = min(lowest, rate)
    return int(lowest < arguments.goal)


def _images(file: str, dataset: datasets.Dataset, held_out: bool) -> torch.Tensor:
    if pen_strokes.is_known(file):
        strokes = pen_strokes.without_digit_like(pen_strokes.load(file))
        if held_out:
            strokes = pen_strokes.split(strokes)[1]
        return torch.cat([digit_from_strokes(drawing) for drawing in strokes.drawings])
    if held_out:
        return outliers.load((file,), dataset).held_out
    return outliers.outlier_images(file, dataset)


if __name__ == "__main__":
    sys.exit(main())
