"""Compares recipes: trains each combination of values with several seeds or folds.

Started again with the same table it does only the runs that are missing.

examples:
  python -m cnn sweep --preset mnist-98 --param learning-rate=0.005,0.01 --seeds 5 --output lr.csv
  python -m cnn sweep --preset mnist-99 --param epochs=0.5..2 --samples 10 --output epochs.csv
"""

import argparse
from pathlib import Path
from typing import Any

from cnn import UserError
from cnn.cli import arguments as common
from cnn.files import check_writable
from cnn.models import checkpoints
from cnn.training import sweep
from cnn.training.config import format_field
from cnn.training.finalize import train
from cnn.training.sweep import Trial


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--output", type=Path, metavar="CSV", help="table to write or to continue")
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="FIELD=VALUES",
        help="a field and its values: learning-rate=0.01,0.02; with --samples also 0.001..0.1",
    )
    parser.add_argument("--samples", type=int, metavar="N", help="draw N combinations at random")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs per combination")
    parser.add_argument("--folds", type=int, default=0, metavar="K", help="K-fold cross-validation")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="runs at a time")
    parser.add_argument(
        "--keep-best",
        type=Path,
        metavar="FILE",
        help="train the best combination once more, and save its checkpoint here",
    )
    common.add_force(parser)
    common.add_json(parser)
    common.add_recipe(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the trials, print each and a summary; return 1 if one has failed."""
    recipe = common.recipe_from_arguments(arguments)
    if arguments.print_config:
        common.print_recipe(recipe)
        return 0
    if not arguments.output:
        raise UserError("There is no table to write. Name one with --output CSV.")
    common.refuse_existing([arguments.keep_best], arguments.force)
    if arguments.keep_best:
        check_writable(arguments.keep_best, "checkpoint", size=1)
    for name in ("samples", "seeds", "workers"):
        count = getattr(arguments, name)
        if count is not None and count < 1:
            raise UserError(f"--{name} cannot be {count}. Choose 1 or more.")
    space = sweep.parse_space(arguments.param)
    if arguments.samples:
        combinations = sweep.random_search(recipe, space, arguments.samples)
    else:
        combinations = sweep.grid_search(recipe, space)
    trials = sweep.trials(combinations, arguments.seeds, arguments.folds)
    failed = 0
    for number, row in enumerate(sweep.run(trials, arguments.output, arguments.workers), start=1):
        failed += row["error"] is not None
        if arguments.json:
            common.print_json({"event": "run"} | row)
        else:
            print(f"run {number}: {_describe_run(row, list(space))}", flush=True)
    lines = sweep.summarize(trials, arguments.output)
    _print_summary(arguments, lines, list(space))
    if arguments.keep_best and lines:
        _keep_best(arguments, next(trial for trial in trials if trial.args() == lines[0]["recipe"]))
    return 1 if failed else 0


def _keep_best(arguments: argparse.Namespace, trial: Trial) -> None:
    checkpoint = train(trial.recipe)
    checkpoints.save(arguments.keep_best, checkpoint)
    accuracy = checkpoint.card.test_accuracy
    if arguments.json:
        path = str(arguments.keep_best)
        common.print_json({"event": "best", "checkpoint": path, "test_accuracy": accuracy})
    else:
        print(f"test accuracy {accuracy:.2%}, saved in {arguments.keep_best}")


def _describe_run(row: dict[str, Any], params: list[str]) -> str:
    """Describe a run by what varies and what came of it."""
    names = [*params, "seed", *(["fold"] if "fold" in row else [])]
    varied = ", ".join(f"{name.replace('_', ' ')} {row[name]}" for name in names)
    return f"{varied}: {row['error'] or format(row['validation_accuracy'], '.2%')}"


def _print_summary(
    arguments: argparse.Namespace, lines: list[dict[str, Any]], params: list[str]
) -> None:
    if arguments.json:
        for line in lines:
            common.print_json({"event": "summary"} | line)
        return
    metrics = {"validation accuracy": "validation_accuracy", "loss": "validation_loss"}
    rows = [
        [format_field(line[name]) for name in params]
        + [str(line["runs"])]
        + [_mean_and_deviation(line, name) for name in [*metrics.values(), "seconds"]]
        for line in lines
    ]
    common.print_table([*params, "runs", *metrics, "seconds"], rows)
    if lines:
        output = arguments.keep_best or "best.safetensors"
        print(f"best: python -m cnn train {lines[0]['recipe']} --output {output}")


def _mean_and_deviation(line: dict[str, Any], metric: str) -> str:
    """Write the mean, and the standard deviation where there are several runs."""
    factor, unit = (100, " %") if metric.endswith("accuracy") else (1, "")
    deviation = line[f"{metric}_sd"]
    suffix = "" if deviation is None else f" ± {factor * deviation:.4g}"
    return f"{factor * line[metric]:.4g}{suffix}{unit}"
