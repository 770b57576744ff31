"""Measure what networks learn from ten drawings of one person.

    python tests/benchmarks/finetuning.py FILE [--network NAME...] [--writers COUNT]

FILE is an .npz of pen strokes of digits, as `cnn.data.pen_strokes.read_npz` reads it, with a
`writer` per drawing. For each network come the writer's digits of which it predicts most wrongly:
ten of one class, at most half of those that are wrong, are kept as a visitor of the page keeps
them. Counts drawings predicted wrongly, before and after. Exits with 1 where a network predicts
less than 90 % of the ten, no more of the writer's other drawings than before, or loses more than
0.1 points of test accuracy.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from cnn.data import pen_strokes  # noqa: E402
from cnn.evaluation import inference, metrics  # noqa: E402
from cnn.jobs.session import TrainingSession  # noqa: E402
from cnn.models import checkpoints  # noqa: E402
from cnn.training import finetuning  # noqa: E402

EXAMPLES = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--network", nargs="+", default=["mnist-four-conv-norm"])
    parser.add_argument("--writers", type=int, default=3, help="writers per network")
    arguments = parser.parse_args()
    strokes = pen_strokes.read_npz(arguments.file)
    with np.load(arguments.file) as file:
        writers = torch.from_numpy(file["writer"])
    labels = torch.tensor(list(map(int, strokes.labels)))
    images = pen_strokes.rasterize(strokes)
    failed = False
    for name in arguments.network:
        path = checkpoints.BUNDLED / f"{name}{checkpoints.SUFFIX}"
        before = checkpoints.load(path)
        wrong = _wrong(before, images, labels)
        pairs = zip(writers[wrong].tolist(), labels[wrong].tolist(), strict=True)
        for (writer, label), _ in Counter(pairs).most_common(arguments.writers):
            own = writers == writer
            kept = _choose(own & (labels == label), wrong)
            started = time.perf_counter()
            after = _finetune(before, strokes.select(kept.numpy()))
            seconds = time.perf_counter() - started
            still_wrong = _wrong(after, images, labels)
            other = own & ~kept
            counts = [
                [int((mistakes & part).sum()) for mistakes in (wrong, still_wrong)]
                for part in (kept, other, ~own)
            ]
            accuracies = before.card.test_accuracy, after.card.test_accuracy
            (_, kept_wrong), (other_wrong, other_still_wrong), _ = counts
            bad = kept_wrong > EXAMPLES // 10 or other_still_wrong >= other_wrong
            bad = bad or accuracies[0] - accuracies[1] > 0.001
            failed = failed or bad
            print(
                f"{name}, writer {writer}, digit {label}: "
                f"wrong of {int(kept.sum())} kept {counts[0]}, of the writer's other "
                f"{int(other.sum())} {counts[1]}, of {int((~own).sum())} of others {counts[2]}; "
                f"test accuracy {accuracies[0]:.2%} to {accuracies[1]:.2%}; "
                f"doubted {_doubted(before, images):.2%} to {_doubted(after, images):.2%}; "
                f"{seconds:.1f} s{' MISSED' * bad}",
                flush=True,
            )
    return int(failed)


def _choose(candidates: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
    """Mask ten drawings: every other one of those that are wrong, filled up with others."""
    mistakes = (candidates & wrong).nonzero()[::2, 0][:EXAMPLES]
    others = (candidates & ~wrong).nonzero()[: EXAMPLES - len(mistakes), 0]
    mask = torch.zeros_like(wrong)
    mask[torch.cat([mistakes, others])] = True
    return mask


def _finetune(before: checkpoints.Checkpoint, strokes) -> checkpoints.Checkpoint:
    labels = [int(label) for label in strokes.labels]
    session = TrainingSession(
        finetuning.recipe(before.card),
        init=before,
        examples=finetuning.draw_examples(strokes.drawings, labels),
        device=torch.device("cpu"),
    )
    for _ in session.train():
        pass
    return finetuning.keep_calibration(session.result().checkpoint, before)


def _wrong(checkpoint: checkpoints.Checkpoint, images: torch.Tensor, labels: torch.Tensor):
    return inference.logits(checkpoint.network, images, checkpoint.card.tta).argmax(1) != labels


def _doubted(checkpoint: checkpoints.Checkpoint, images: torch.Tensor) -> float:
    """The fraction of the drawings that count as out of distribution."""
    logits = inference.logits(checkpoint.network, images, checkpoint.card.tta)
    scores = metrics.energy_score(logits)
    return (scores < checkpoint.card.ood_threshold).float().mean().item()


if __name__ == "__main__":
    sys.exit(main())
