"""Logs of a training run: a CSV table, a plot, TensorBoard."""

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from matplotlib.figure import Figure

from cnn import UserError
from cnn.plots import charts
from cnn.training.state import Progress

METRICS = ("loss", "accuracy")
COLUMNS = [field.name for field in fields(Progress) if not field.name.startswith("batch")]


def write_table(path: str | Path, reports: Sequence[Progress]) -> None:
    """Write a run's reports as CSV, a row each; a cell is empty where nothing was measured."""
    with _open_for_writing(path), Path(path).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(report.row() for report in reports)


def plot(path: str | Path, reports: Sequence[Progress]) -> None:
    """Plot loss and accuracy by step, training and validation, in the format of the suffix."""
    figure = Figure(figsize=(6, 7), layout="constrained")
    rows = [report.row() for report in reports]
    for axes, metric in zip(figure.subplots(2, sharex=True), METRICS, strict=True):
        charts.plot_metric(axes, rows, "step", metric)
        axes.set_ylabel(metric)
        axes.legend()
    axes.set_xlabel("step")
    with _open_for_writing(path):
        figure.savefig(path)


def tensorboard_logger(folder: str | Path) -> Callable[[Progress], None]:
    """Return a function that logs reports for TensorBoard, an optional dependency."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "TensorBoard is not installed. Install it with `pip install tensorboard`."
        ) from error
    with _open_for_writing(folder):
        writer = SummaryWriter(str(folder))

    def log(progress: Progress) -> None:
        for name, value in progress.row().items():
            if name not in ("step", "steps") and value is not None:
                writer.add_scalar(name.replace("_", "/", 1), value, progress.step)
        writer.flush()

    return log


@contextlib.contextmanager
def _open_for_writing(path: str | Path) -> Iterator[None]:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, ValueError) as error:
        raise UserError(
            f"The run could not be logged to {str(path)!r} ({error}). Choose another place."
        ) from error
