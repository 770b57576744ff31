"""Seconds of training to an accuracy, and how many times another loop needs.

    python tests/benchmarks/time_to_accuracy.py PRESET [--seeds 5] [--goal SHARE] [--averaged]
        [--against SCRIPT]

Runs the preset with seeds 0, 1, ..., the data in memory, and tests each network once. SCRIPT is
started as `SCRIPT DATASET FOLDER --until GOAL` and prints lines with "seconds S test_accuracy A";
its time is that of the first line at the goal. Then a few steps tell where the time goes. The
goal is by default the number in the preset's name. Exits with 1 where the mean misses it.
"""

import argparse
import dataclasses
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import torch

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from cnn import hardware  # noqa: E402
from cnn.data import datasets  # noqa: E402
from cnn.data.datasets import Splits  # noqa: E402
from cnn.evaluation import inference, metrics  # noqa: E402
from cnn.training import loop  # noqa: E402
from cnn.training.config import Recipe  # noqa: E402
from cnn.training.loop import fit  # noqa: E402
from cnn.training.presets import preset  # noqa: E402
from cnn.training.state import start  # noqa: E402

PROFILED_STEPS = 40


def one(recipe: Recipe, splits: Splits) -> tuple[float, float, float]:
    """Return seconds, test accuracy, and the accuracy with test-time augmentation."""
    run = start(recipe, splits)
    for _ in fit(run):
        pass
    images, labels = splits.test
    tta = inference.tta_mode(datasets.get_dataset(recipe.dataset))
    by_view = inference.logits_by_view(run.eval_model, images, tta)
    accuracy = metrics.accuracy(by_view[0], labels)
    return run.seconds, accuracy, metrics.accuracy(by_view.mean(0), labels)


def phases(recipe: Recipe, splits: Splits) -> dict[str, float]:
    """Return the fraction of training time that each part of a step takes."""
    run = start(dataclasses.replace(recipe, epochs=1), splits)
    spent: Counter[str] = Counter()

    def timed(name: str, action: Callable) -> Callable:
        def act(*arguments, **options):
            begun = time.perf_counter()
            done = action(*arguments, **options)
            if run.device.type == "cuda":
                torch.cuda.synchronize()
            spent[name] += time.perf_counter() - begun
            return done

        return act

    with ExitStack() as patched:
        for name, owner, action in (
            ("augmentation", loop, "_batch"),
            ("step", loop, "_step"),
            ("backward", torch.Tensor, "backward"),
            ("optimizer", run.optimizer, "step"),
        ):
            patched.enter_context(patch.object(owner, action, timed(name, getattr(owner, action))))
        for progress in fit(run):
            if progress.step >= PROFILED_STEPS:
                break
    spent["forward"] = spent.pop("step") - spent["backward"] - spent["optimizer"]
    return {name: seconds / spent.total() for name, seconds in spent.items()}


def other_side(script: str, dataset: str, goal: float) -> tuple[float, bool]:
    """Seconds that the other loop trained, and whether it came to the goal."""
    words = [sys.executable, script, dataset, str(datasets.folder()), "--until", str(goal)]
    seconds, reached = 0.0, False
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(f"  {line.rstrip()}", flush=True)
            found = re.search(r"seconds\s+([\d.]+)\s+test_accuracy\s+([\d.]+)", line)
            if found:
                seconds, reached = float(found[1]), float(found[2]) >= goal
    return seconds, reached


def spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.2f} ± {deviation:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--goal", type=float)
    parser.add_argument("--averaged", action="store_true", help="the goal is the averaged one's")
    parser.add_argument("--against", metavar="SCRIPT")
    arguments = parser.parse_args()
    recipe = preset(arguments.preset).recipe
    number = re.search(r"-([\d.]+)$", arguments.preset)
    goal = arguments.goal or (float(number[1]) / 100 if number else 0.0)
    torch.set_num_threads(hardware.cpu_count())
    splits = datasets.load(datasets.get_dataset(recipe.dataset), recipe.validation_size)
    device = hardware.device()
    precision = hardware.precision_name(hardware.amp_dtype(device))
    print(f"{arguments.preset}, {hardware.describe(device)}, {precision}", flush=True)
    runs = []
    for seed in range(arguments.seeds):
        runs.append(one(dataclasses.replace(recipe, seed=seed), splits))
        seconds, accuracy, averaged = runs[-1]
        print(
            f"  seed {seed}: {seconds:.2f} s, {accuracy:.2%}, {averaged:.2%} averaged", flush=True
        )
    seconds, *shares = (list(column) for column in zip(*runs, strict=True))
    accuracy, averaged = (spread([100 * share for share in column]) for column in shares)
    print(f"{spread(seconds)} s, {accuracy} %, {averaged} % averaged, n = {len(runs)}")
    found = phases(recipe, splits)
    print("of this: " + ", ".join(f"{name} {share:.0%}" for name, share in found.items()))
    if arguments.against:
        theirs, reached = other_side(arguments.against, recipe.dataset, goal)
        ratio = theirs / statistics.fmean(seconds)
        said = "," if reached else f" without {goal:.2%}, so more than"
        print(f"{arguments.against}: {theirs:.1f} s{said} {ratio:.0f} times as long")
    return int(statistics.fmean(shares[arguments.averaged]) < goal)


if __name__ == "__main__":
    sys.exit(main())
