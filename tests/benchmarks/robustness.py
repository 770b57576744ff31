"""How often networks are right when pictures are noisy, blurred, turned or badly lit.

    python tests/benchmarks/robustness.py [CHECKPOINT ...] [--pictures N]

Prints the accuracy on the test set as it is and under each corruption of MNIST-C or CIFAR-10-C
(see corruptions.py for how near to theirs they are), of the default networks unless others are
named. Everything is drawn from a fixed seed.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import corruptions  # noqa: E402

from cnn.data import datasets  # noqa: E402
from cnn.evaluation import inference, metrics  # noqa: E402
from cnn.models import checkpoints  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--pictures", type=int, default=10_000)
    arguments = parser.parse_args()
    asked = [checkpoints.load(path) for path in arguments.checkpoints] or [
        checkpoints.load_default(checkpoints.BUNDLED, name) for name in ("mnist", "cifar10")
    ]
    for network, card in asked:
        dataset = datasets.get_dataset(card.dataset)
        images, labels = datasets.load(dataset).test[: arguments.pictures]
        kinds = corruptions.MNIST_C if dataset.input == "strokes" else corruptions.CIFAR10_C
        print(f"{card.dataset}-{card.model}, {len(labels):,} pictures")
        clean = images / 255
        shares = []
        for corrupt in (None, *kinds):
            generator = torch.Generator().manual_seed(0)
            pictures = corrupt(clean, generator).clamp(0, 1) if corrupt else clean
            answers = inference.logits(network, pictures, quick=True)
            accuracy = metrics.compute_metrics(answers, labels).accuracy
            shares += [accuracy] if corrupt else []
            name = corrupt.__name__.replace("_", " ") if corrupt else "as it is"
            print(f"  {name:20} {accuracy:.2%}", flush=True)
        print(f"  mean of {len(kinds)} corruptions {sum(shares) / len(shares):.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
