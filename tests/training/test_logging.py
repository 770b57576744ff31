"""A run is logged as a table, as a plot and for TensorBoard."""

import csv
import sys
from dataclasses import replace

import pytest
from PIL import Image

from cnn import UserError
from cnn.training import logging
from cnn.training.state import Progress

FIRST = Progress(1, 4, 1, 0.5, 0.01, 2.5, 0.1, None, None, 900.0)
REPORTS = [FIRST, replace(FIRST, step=4, train_loss=1.0, validation_loss=1.1)]


def test_the_table_holds_every_report_with_empty_cells_for_what_was_not_measured(tmp_path):
    logging.write_table(tmp_path / "new" / "run.csv", REPORTS)
    with (tmp_path / "new" / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, report in zip(rows, REPORTS, strict=True):
        expected = report.row().items()
        assert row == {name: "" if value is None else str(value) for name, value in expected}


@pytest.mark.parametrize("reports", [[], REPORTS], ids=["before its first step", "at its end"])
def test_a_plot_can_be_drawn_at_any_time(reports, tmp_path):
    logging.plot(tmp_path / "curve.png", reports)
    low, high = Image.open(tmp_path / "curve.png").convert("L").getextrema()
    assert low < 50 and high == 255


def test_a_plot_depends_on_the_loss(tmp_path):
    for name, loss in (("one", 1.0), ("other", 2.0)):
        logging.plot(tmp_path / f"{name}.svg", [FIRST, replace(FIRST, step=4, train_loss=loss)])
    texts = {path.read_text().split("<g id", 1)[1] for path in tmp_path.glob("*.svg")}
    assert len(texts) == 2


@pytest.mark.parametrize("name", ["curve.xyz", "file/curve.png"])
def test_a_place_that_cannot_be_written_is_an_error(name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=name):
        logging.plot(tmp_path / name, REPORTS)


def test_the_tensorboard_log_holds_the_reports(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = logging.tensorboard_logger(tmp_path)
    for report in REPORTS:
        log(report)
    events = EventAccumulator(str(tmp_path)).Reload()
    losses = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert losses == [(1, 2.5), (4, 1.0)]
    assert [event.step for event in events.Scalars("validation/loss")] == [4]


def test_a_missing_tensorboard_is_an_error_with_the_command_that_installs_it(tmp_path, monkeypatch):
    for name in ("tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match="`pip install tensorboard`"):
        logging.tensorboard_logger(tmp_path)
