"""Hyperparameter sweeps: many runs of a recipe with some of its fields varied.

Runs are spread over worker processes. Each is a row of a table that is kept as it grows, so that
a sweep that is started again does only the runs that are still missing.
"""

import contextlib
import csv
import functools
import itertools
import math
import multiprocessing
import random
import shlex
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from cnn import UserError, hardware
from cnn.data import datasets
from cnn.files import report_write_errors
from cnn.models import custom
from cnn.training.config import Recipe, field_type, format_field, parse_field, to_args
from cnn.training.loop import fit
from cnn.training.state import start

METRICS = ("train_loss", "validation_loss", "validation_accuracy", "seconds")
Values = list[Any] | tuple[Any, Any]  # choices, or the ends of a range
Space = Mapping[str, Values]
Combination = tuple[dict[str, Any], Recipe]


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: the values of the varied fields, the recipe, and the validation fold.

    Without `folds` it is validated on the images that every run is validated on.
    """

    params: Mapping[str, Any]
    recipe: Recipe
    fold: int = 0
    folds: int = 0

    def key(self) -> dict[str, str]:
        """Return its first cells in the table, which identify it."""
        cells = {name: format_field(value) for name, value in self.params.items()}
        fold = {"fold": str(self.fold), "folds": str(self.folds)} if self.folds else {}
        return cells | {"seed": str(self.recipe.seed)} | fold | {"recipe": self.args()}

    def args(self) -> str:
        """Return the flags that train its recipe."""
        return shlex.join(to_args(self.recipe))


def parse_space(texts: Iterable[str]) -> dict[str, Values]:
    """Parse "field=value,value" to a list of choices and "field=low..high" to a range.

    Names within a value are joined by a plus: "augmentation=affine,affine+elastic". Only numbers
    have ranges.
    """
    space: dict[str, Values] = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().replace("-", "_")
        parse = functools.partial(parse_field, name)
        low, dots, high = values.partition("..")
        if dots and field_type(name) in (int, float):
            space[name] = parse(low), parse(high)
        else:
            space[name] = [parse(value) for value in values.split(",")]
    return space


def grid_search(base: Recipe, space: Space) -> list[Combination]:
    """List every combination of the values."""
    for name, values in space.items():
        if isinstance(values, tuple):
            raise UserError(f"A grid needs single values of {name!r}. List them, or use --samples.")
    combinations = itertools.product(*space.values())
    params = [dict(zip(space, values, strict=True)) for values in combinations]
    return [(values, replace(base, **values)) for values in params]


def random_search(base: Recipe, space: Space, count: int) -> list[Combination]:
    """Draw combinations at random, the same ones every time; log-uniformly from a range."""
    generator = random.Random(0)

    def draw(values: Values) -> Any:
        if isinstance(values, list):
            return generator.choice(values)
        low, high = values
        if low > 0:
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            value = generator.uniform(low, high)
        return round(value) if isinstance(low, int) else float(f"{value:.4g}")

    params = [{name: draw(values) for name, values in space.items()} for _ in range(count)]
    return [(values, replace(base, **values)) for values in params]


def trials(combinations: Iterable[Combination], seeds: int, folds: int) -> list[Trial]:
    """List the runs of each combination: one per seed, from its own upwards, and fold."""
    if folds < 0 or folds == 1:
        raise UserError(f"Cross-validation needs 2 folds or more, not {folds}. Choose 0 for none.")
    return [
        Trial(params, replace(recipe, seed=recipe.seed + seed), fold, folds)
        for params, recipe in combinations
        for seed in range(seeds)
        for fold in range(max(1, folds))
    ]


def run_trial(trial: Trial) -> dict[str, float]:
    """Train and measure on the validation images; the test set is not used."""
    custom.load_model(trial.recipe.model)
    custom.load_dataset(trial.recipe.dataset)
    dataset = datasets.get_dataset(trial.recipe.dataset)
    splits = datasets.load_cached(dataset, trial.recipe.validation_size)
    if trial.folds:
        splits = datasets.fold(splits, trial.fold, trial.folds)
    run = start(trial.recipe, splits)
    for _ in fit(run):
        pass
    kept = run.best_epoch.progress if run.best_epoch else run.progress
    assert kept is not None
    return {name: float(f"{kept.row()[name]:.6g}") for name in METRICS}


def run(trials: Sequence[Trial], table: Path, workers: int) -> Iterator[dict[str, Any]]:
    """Run the trials that the table lacks, `workers` at a time, and yield each as a row.

    A run that fails leaves a row with its `error`, and is tried again next time.
    """
    done = read(table, trials[0])
    _create(table, trials[0])
    missing = [trial for trial in trials if tuple(trial.key().values()) not in done]
    slots: SimpleQueue[_Slot] = SimpleQueue()
    for index in range(workers):
        slots.put(_Slot(index, workers))

    def run_one(trial: Trial) -> dict[str, Any]:
        slot = slots.get()
        try:
            return trial.key() | slot.run(trial)
        finally:
            slots.put(slot)

    threads = ThreadPoolExecutor(workers)
    try:
        for finished in as_completed([threads.submit(run_one, trial) for trial in missing]):
            _append(table, finished.result(), trials[0])
            yield finished.result()
    finally:
        threads.shutdown(cancel_futures=True)
        while not slots.empty():
            slots.get().close()


class _Slot:
    """A worker process for one run after another, replaced if it dies."""

    def __init__(self, index: int, count: int):
        self._start = functools.partial(
            ProcessPoolExecutor,
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_init_worker,
            initargs=(index, count),
        )
        self._process = self._start()

    def run(self, trial: Trial) -> dict[str, Any]:
        """Return a trial's metrics, or its error."""
        try:
            return self._process.submit(run_trial, trial).result() | {"error": None}
        except BrokenProcessPool:
            self._process = self._start()
            return {"error": "The process died; the machine may have too little memory."}
        except Exception as error:  # the other runs go on, whatever it is
            return {"error": str(error) or type(error).__name__}

    def close(self) -> None:
        self._process.shutdown()


def _init_worker(index: int, count: int) -> None:
    """Give a worker its part of the cores, or a GPU."""
    torch.set_num_threads(max(1, hardware.cpu_count() // count))
    if torch.cuda.is_available():
        torch.cuda.set_device(index % torch.cuda.device_count())


def read(table: Path, example: Trial) -> dict[tuple[str, ...], dict[str, str]]:
    """Read the rows without error by the cells of `Trial.key`; none where there is no table.

    A table with other columns than those of a trial like `example` is a `UserError`.
    """
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames != _columns(example):
            raise UserError(f"{str(table)!r} holds another sweep. Name another file.")
        return {tuple(row[name] for name in example.key()): row for row in rows if not row["error"]}


def _columns(example: Trial) -> list[str]:
    return [*example.key(), *METRICS, "error"]


def _create(table: Path, example: Trial) -> None:
    """Make sure, before the work, that the table can be written."""
    with report_write_errors(table, "table"):
        table.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), table.open("x", encoding="utf-8") as file:
            csv.DictWriter(file, _columns(example), lineterminator="\n").writeheader()
        table.open("a").close()


def _append(table: Path, row: Mapping[str, Any], example: Trial) -> None:
    with report_write_errors(table, "table"):
        with table.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, _columns(example), lineterminator="\n").writerow(row)


def summarize(trials: Sequence[Trial], table: Path) -> list[dict[str, Any]]:
    """Average each combination over its runs, the best validation accuracy first.

    A row holds the varied fields, `recipe`, `runs`, and each metric's mean and standard
    deviation, None for a single run. A combination without any run is left out.
    """
    rows = read(table, trials[0])
    groups: dict[tuple[str, ...], tuple[Trial, list[dict[str, str]]]] = {}
    for trial in trials:
        row = rows.get(tuple(trial.key().values()))
        if row:
            combination = tuple(row[name] for name in trial.params)
            groups.setdefault(combination, (trial, []))[1].append(row)
    lines = []
    for trial, group in groups.values():
        line: dict[str, Any] = {**trial.params, "recipe": trial.args()}
        line["runs"] = len(group)
        for metric in METRICS:
            values = [float(row[metric]) for row in group]
            line[metric] = statistics.fmean(values)
            line[f"{metric}_sd"] = statistics.stdev(values) if len(values) > 1 else None
        lines.append(line)
    return sorted(lines, key=lambda line: line["validation_accuracy"], reverse=True)
