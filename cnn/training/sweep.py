"""Many runs of one recipe with some of its fields varied, side by side, each in its own time.

Every run is one row of a table that is kept as it grows; whoever starts the same sweep again
gets the rows that are still missing.
"""

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
from cnn.training.config import Recipe, parse_field, to_args
from cnn.training.loop import fit
from cnn.training.state import start

METRICS = ("train_loss", "validation_loss", "validation_accuracy", "seconds")


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: what it varies, its recipe, and the `fold` of `folds` it watches.

    With no folds it watches the pictures that every run watches.
    """

    varied: Mapping[str, Any]
    recipe: Recipe
    fold: int = 0
    folds: int = 0

    def key(self) -> dict[str, str]:
        """Its first cells in the table, which tell it from every other run."""
        cells = {name: _cell(value) for name, value in self.varied.items()}
        words = shlex.join(to_args(self.recipe))
        fold = f"{self.fold} of {self.folds}" if self.folds else ""
        return cells | {"seed": str(self.recipe.seed), "fold": fold, "recipe": words}


def parse_space(texts: Iterable[str]) -> dict[str, list | tuple]:
    """What "field=value,value" and "field=low..high" say: lists to choose from and ranges.

    Names within a value are joined by a plus: "augmentation=warp,warp+thickness".
    """
    found: dict[str, list | tuple] = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().replace("-", "_")
        read = functools.partial(parse_field, name)
        low, dots, high = values.partition("..")
        found[name] = (read(low), read(high)) if dots else [read(one) for one in values.split(",")]
    return found


def grid_search(base: Recipe, varied: Mapping[str, list | tuple]) -> list[tuple[dict, Recipe]]:
    """Every combination of the values."""
    for name, values in varied.items():
        if isinstance(values, tuple):
            raise UserError(f"A grid needs single values of {name!r}. List them, or use --random.")
    chosen = [dict(zip(varied, one, strict=True)) for one in itertools.product(*varied.values())]
    return [(one, replace(base, **one)) for one in chosen]


def random_search(base: Recipe, varied: Mapping[str, list | tuple], count: int) -> list:
    """Combinations drawn at random, the same ones every time; a range by its logarithm."""
    generator = random.Random(0)

    def draw(values: list | tuple) -> Any:
        if isinstance(values, list):
            return generator.choice(values)
        low, high = values
        if low > 0:
            drawn = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            drawn = generator.uniform(low, high)
        return round(drawn) if isinstance(low, int) else float(f"{drawn:.4g}")

    chosen = [{name: draw(values) for name, values in varied.items()} for _ in range(count)]
    return [(one, replace(base, **one)) for one in chosen]


def trials(combinations: Iterable, seeds: int, folds: int) -> list[Trial]:
    """Each combination with as many seeds from its own upwards, and with every fold."""
    if folds < 0 or folds == 1:
        raise UserError(f"{folds} folds cannot be learnt from. Choose 2 or more, or 0 for none.")
    return [
        Trial(one, replace(recipe, seed=recipe.seed + seed), fold, folds)
        for one, recipe in combinations
        for seed in range(seeds)
        for fold in range(max(1, folds))
    ]


def run_trial(trial: Trial) -> dict[str, float]:
    """Do one run and measure it on the pictures it watched; the test set is left alone."""
    splits = datasets.load_cached(datasets.get_dataset(trial.recipe.dataset), trial.recipe.held_out)
    if trial.folds:
        splits = datasets.fold(splits, trial.fold, trial.folds)
    run = start(trial.recipe, splits)
    for _ in fit(run):
        pass
    return {name: run.history[-1][name] for name in METRICS}


def run(trials: Sequence[Trial], table: Path, processes: int) -> Iterator[dict[str, str]]:
    """Do those trials that the table lacks, so many at a time, and yield each row once done.

    A run that fails or dies leaves a row with its `fault`, and is tried again next time.
    """
    done = read(table, trials[0])
    left = [trial for trial in trials if tuple(trial.key().values()) not in done]
    places: SimpleQueue[_Slot] = SimpleQueue()
    for number in range(processes):
        places.put(_Slot(number, processes))

    def row(trial: Trial) -> dict[str, str]:
        place = places.get()
        try:
            return trial.key() | {"fault": ""} | place.follow(trial)
        finally:
            places.put(place)

    threads = ThreadPoolExecutor(processes)
    try:
        for finished in as_completed([threads.submit(row, trial) for trial in left]):
            _append(table, finished.result(), trials[0])
            yield finished.result()
    finally:
        threads.shutdown(cancel_futures=True)
        while not places.empty():
            places.get().close()


class _Slot:
    """A process of its own for one run after another, and a new one after one that died."""

    def __init__(self, number: int, count: int):
        self._start = functools.partial(
            ProcessPoolExecutor,
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_init_worker,
            initargs=(number, count),
        )
        self._process = self._start()

    def follow(self, trial: Trial) -> dict[str, str]:
        """What a trial measured as text, or its fault."""
        try:
            found = self._process.submit(run_trial, trial).result()
            return {name: f"{value:.6g}" for name, value in found.items()}
        except BrokenProcessPool:
            self._process = self._start()
            return {"fault": "The process died; the machine may have too little memory."}
        except Exception as fault:  # whatever it is, the other runs go on
            return {"fault": str(fault) or type(fault).__name__}

    def close(self) -> None:
        self._process.shutdown()


def _init_worker(number: int, count: int) -> None:
    """Give this process its share of the cores, or a GPU."""
    torch.set_num_threads(max(1, hardware.cpu_count() // count))
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())


def read(table: Path, like: Trial) -> dict[tuple[str, ...], dict[str, str]]:
    """The rows of a table without fault, by the cells of `Trial.key`; none where there is none.

    A `UserError` tells of a table with other columns than those of a trial like this.
    """
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames != _columns(like):
            raise UserError(f"{str(table)!r} holds another sweep. Name another file.")
        return {tuple(row[name] for name in like.key()): row for row in rows if not row["fault"]}


def _columns(like: Trial) -> list[str]:
    return [*like.key(), *METRICS, "fault"]


def _append(table: Path, row: dict[str, str], like: Trial) -> None:
    is_new = not table.exists()
    try:
        with table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _columns(like))
            if is_new:
                writer.writeheader()
            writer.writerow(row)
    except OSError as fault:
        raise UserError(
            f"{str(table)!r} cannot be written ({fault}). Free some space or name another file."
        ) from fault


def summary(trials: Sequence[Trial], table: Path) -> list[dict[str, Any]]:
    """A row for each combination, the best on watched pictures first: mean and deviation.

    `runs` says over how many of them; a combination without any is left out.
    """
    rows = read(table, trials[0])
    found: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for trial in trials:
        row = rows.get(tuple(trial.key().values()))
        if row:
            found.setdefault(tuple(row[name] for name in trial.varied), []).append(row)
    lines = []
    for combination, group in found.items():
        line: dict[str, Any] = dict(zip(trials[0].varied, combination, strict=True))
        line["runs"] = len(group)
        for measure in METRICS:
            values = [float(row[measure]) for row in group]
            line[measure] = statistics.fmean(values)
            line[f"{measure}_sd"] = statistics.stdev(values) if len(values) > 1 else None
        lines.append(line)
    return sorted(lines, key=lambda line: line["validation_accuracy"], reverse=True)


def _cell(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)
