"""Measure what networks predict of photographs of the ten classes and of other things.

    python tests/benchmarks/photos.py FILE [CHECKPOINT...] [-n COUNT] [--dark FACTOR]

FILE is an .npz: `jpeg`, all files one after another, uint8; `start`, the offset of each; `labels`,
-1 for a photograph of none of the classes. Each is opened, brought to views and predicted as on the
page, once as it is and once with its pixel values divided by FACTOR. AUROC is of the score for out
of distribution, between photographs of the classes and the others.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path[:0] = [str(Path(__file__).parents[2])]

from cnn.data import datasets, photos  # noqa: E402
from cnn.evaluation import metrics, prediction  # noqa: E402
from cnn.evaluation.prediction import CONFIDENT  # noqa: E402
from cnn.models import checkpoints  # noqa: E402
from cnn.models.checkpoints import Checkpoint  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="*")
    parser.add_argument("-n", type=int, help="so many photographs, chosen at random")
    parser.add_argument("--dark", type=float, default=4.0)
    arguments = parser.parse_args()
    paths = arguments.checkpoints or [checkpoints.BUNDLED / "cifar10-airbench.safetensors"]
    archive = np.load(arguments.file)
    count = len(archive["labels"])
    indices = np.random.default_rng(0).permutation(count)[: arguments.n or count]
    labels = torch.from_numpy(archive["labels"][indices].astype(np.int64))
    opened = _open_all(archive, indices)
    darkened = [photo.point(lambda value: value / arguments.dark) for photo in opened]
    for path in paths:
        checkpoint = checkpoints.load(path)
        for kind, images in (("", opened), (f", values / {arguments.dark:g}", darkened)):
            print(f"{path.stem}{kind}: {_measure(checkpoint, images, labels)}", flush=True)
    return 0


def _open_all(archive: np.lib.npyio.NpzFile, indices: np.ndarray) -> list[Image.Image]:
    ends = [*archive["start"][1:], len(archive["jpeg"])]
    opened = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        for index in indices:
            path.write_bytes(archive["jpeg"][archive["start"][index] : ends[index]].tobytes())
            opened.append(photos.open_photo(path))
    return opened


def _measure(checkpoint: Checkpoint, images: list[Image.Image], labels: torch.Tensor) -> str:
    card = checkpoint.card
    dataset = datasets.get_dataset(card.dataset)
    views = [photos.views_from_photo(image, dataset) for image in images]
    logits = torch.stack([prediction.logits(checkpoint, view) for view in views])
    scores = metrics.OOD_SCORES[card.ood_score](logits)
    confidence, classes = (logits / card.temperature).softmax(1).max(1)
    known, detected = labels >= 0, scores < card.ood_threshold
    confident, correct = (confidence >= CONFIDENT) & ~detected, classes == labels

    def rate(mask: torch.Tensor, among: torch.Tensor) -> str:
        return f"{mask[among].float().mean().item():.1%}"

    return (
        f"n {int(known.sum())}, correct {rate(correct, known)}, doubted {rate(detected, known)}, "
        f"confident and wrong {rate(confident & ~correct, known)}; other things: "
        f"n {int((~known).sum())}, confident {rate(confident, ~known)}, "
        f"AUROC {metrics.auroc(scores[known], scores[~known]):.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
