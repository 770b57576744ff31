"""`sweep`: many runs of one recipe, some of its fields varied."""

import argparse
import json
from pathlib import Path

from cnn import UserError
from cnn.cli.arguments import add_recipe, command, print_table, recipe_from_arguments
from cnn.training import sweep


def add(commands) -> None:
    """Add the command."""
    added = command(commands, "sweep", _sweep, "compare recipes over seeds and folds")
    added.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="FIELD=VALUES",
        help="a field and its values: learning-rate=0.01,0.02; with --random also 0.001..0.1",
    )
    added.add_argument("--random", type=int, metavar="N", help="so many combinations at random")
    added.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each combination")
    added.add_argument("--folds", type=int, default=0, metavar="K", help="cross-validate K-fold")
    added.add_argument("--processes", type=int, default=1, metavar="N", help="runs side by side")
    added.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="CSV",
        help="the table to write or to go on with",
    )
    add_recipe(added)


def _sweep(arguments: argparse.Namespace) -> None:
    for name in ("random", "seeds", "processes"):
        count = getattr(arguments, name)
        if count is not None and count < 1:
            raise UserError(f"--{name} cannot be {count}. Choose 1 or more.")
    base, varied = recipe_from_arguments(arguments), sweep.parse_space(arguments.vary)
    if arguments.random:
        combinations = sweep.random_search(base, varied, arguments.random)
    else:
        combinations = sweep.grid_search(base, varied)
    trials = sweep.trials(combinations, arguments.seeds, arguments.folds)
    for number, row in enumerate(sweep.run(trials, arguments.output, arguments.processes), start=1):
        if arguments.json:
            print(json.dumps({"event": "run"} | row), flush=True)
        else:
            came = row["fault"] or f"{float(row['validation_accuracy']):.2%}"
            print(f"run {number}: {row['recipe']} {row['fold']}: {came}", flush=True)
    lines = sweep.summary(trials, arguments.output)
    if arguments.json:
        for line in lines:
            print(json.dumps({"event": "summary"} | line), flush=True)
        return
    measures = {"held-out accuracy": "validation_accuracy", "loss": "validation_loss"}
    columns = [*varied, "runs", *measures, "seconds"]
    rows = [
        [str(line[name]) for name in [*varied, "runs"]]
        + [_spread(line, name) for name in [*measures.values(), "seconds"]]
        for line in lines
    ]
    print_table(columns, rows)


def _spread(line: dict, measure: str) -> str:
    """The mean, and the standard deviation where there are several runs."""
    factor, unit = (100, " %") if measure.endswith("accuracy") else (1, "")
    deviation = line[f"{measure}_sd"]
    spread = "" if deviation is None else f" ± {factor * deviation:.4g}"
    return f"{factor * line[measure]:.4g}{spread}{unit}"
