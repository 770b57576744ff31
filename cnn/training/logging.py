"""A run as it is written down: a table, a plot, a log for TensorBoard."""

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from matplotlib.figure import Figure

from cnn import UserError
from cnn.plots import charts
from cnn.training.state import Progress

METRICS = ("loss", "accuracy")


def write_table(path: str | Path, reports: Sequence[Progress]) -> None:
    """Write a run's reports as CSV, a row each; where nothing was measured a cell is empty."""
    with _open_for_writing(path), Path(path).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Progress)])
        table.writeheader()
        table.writerows(map(asdict, reports))


def plot(path: str | Path, reports: Sequence[Progress]) -> None:
    """Draw loss and accuracy by step, training and validation, in the format of the suffix."""
    figure = Figure(figsize=(6, 7), layout="constrained")
    rows = list(map(asdict, reports))
    for axes, measure in zip(figure.subplots(2, sharex=True), METRICS, strict=True):
        charts.plot_metric(axes, rows, "step", measure)
        axes.set_ylabel(measure)
        axes.legend()
    axes.set_xlabel("step")
    with _open_for_writing(path):
        figure.savefig(path)


def tensorboard_logger(folder: str | Path) -> Callable[[Progress], None]:
    """A reader of reports that logs them for TensorBoard, an optional dependency."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as fault:
        raise UserError(
            "TensorBoard is not installed. Install it with `pip install tensorboard`."
        ) from fault
    with _open_for_writing(folder):
        writer = SummaryWriter(str(folder))

    def log(progress: Progress) -> None:
        for name, value in asdict(progress).items():
            if name not in ("step", "steps") and value is not None:
                writer.add_scalar(name.replace("_", "/", 1), value, progress.step)
        writer.flush()

    return log


@contextlib.contextmanager
def _open_for_writing(path: str | Path) -> Iterator[None]:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, ValueError) as fault:
        raise UserError(
            f"The run could not be written down in {str(path)!r} ({fault}). Choose another place."
        ) from fault
