"""What the tab Train shows of runs, before and after them."""

import csv
import json
import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.learner import BRIEF

from cnn import UserError
from cnn.data.datasets import Split
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import SamplePredictions, Snapshot
from cnn.training.presets import PRESETS
from cnn.training.state import Progress
from cnn.web import curves
from cnn.web.tabs import train, train_results


def finished_job(parent=None, **changes) -> TrainingJob:
    """A job that has come to its end, without any training."""
    job = TrainingJob(replace(BRIEF, **changes), parent)
    for step in range(1, 4):
        validation = (0.4, 0.8) if step == 3 else (None, None)
        means, batch = (1.0, 0.5), (1 / step, step / 4)
        progress = Progress(step, 3, 1, step / 2, 0.01, *means, *validation, 100.0, *batch)
        job.record(Snapshot(progress=progress))
    card = SimpleNamespace(train_seconds=1.5, validation_accuracy=0.8, test_accuracy=0.7)
    job.result = SimpleNamespace(checkpoint=SimpleNamespace(card=card, network=None))
    return job


def points(text: str) -> dict[str, list]:
    """The points that curves.js draws, by the names of the curves."""
    return {curve["name"]: curve["points"] for curve in json.loads(text)["curves"]}


def test_a_preset_that_takes_too_long_is_disabled_and_says_why():
    estimates = {PRESETS["mnist-99"].recipe: 2.7, PRESETS["cifar10-94"].recipe: 1_200.0}
    html = train_results.preset_cards("mnist-99", estimates, 900)
    fast, slow = (
        html.split(f'value="{name}"')[1].split("</label>")[0] for name in ("mnist-99", "cifar10-94")
    )
    assert " checked" in fast and " disabled" not in fast and "about 3 s here" in fast
    assert " disabled" in slow and "about 20 min here; a run may take 15 min" in slow


def test_a_preset_that_cannot_run_is_disabled_and_says_why():
    estimates = {PRESETS["cifar10-94"].recipe: math.inf}
    html = train_results.preset_cards("mnist-99", estimates, 900)
    card = html.split('value="cifar10-94"')[1].split("</label>")[0]
    assert " disabled" in card and "cannot run on this machine" in card


def test_a_probability_reads_100_only_where_it_is_certain():
    split = Split(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([1]))
    samples = SamplePredictions(split, torch.tensor([0.999]), torch.tensor([7]))
    assert "99 %" in train_results.samples(samples, "0123456789")


def test_a_position_in_the_queue_is_a_sentence():
    assert "1 run is ahead of yours, which starts in about 12 s." in train_results.position(1, 12.2)
    assert "Getting ready" in train_results.position(0, 0)
    assert "3 runs are ahead of yours" in train_results.position(3, 200)


def test_a_curve_holds_its_points_and_stays_small_however_long_it_is():
    job = finished_job()
    assert points(curves.of_run(job.metrics, "accuracy")) == {
        "batches": [[1, 25], [2, 50], [3, 75]],
        "training, smoothed": [[1, 25], [2, 38.16], [3, 51.75]],
        "validation": [[3, 80]],
    }
    assert points(curves.of_run(job.metrics, "learning_rate")) == {
        "": [[1, 0.01], [2, 0.01], [3, 0.01]]
    }
    long = points(curves.of_run(job.metrics * 2_000, "loss"))
    assert all(200 < len(values) <= 301 for values in long.values())
    assert long["batches"][-1][0] == 3
    assert not any(points(curves.of_run([], "loss")).values())


def test_a_smoothed_curve_of_equal_values_is_that_value():
    rows = [
        {"step": step, "split": "train", "loss": 2.5, "accuracy": 0.1} for step in range(1, 100)
    ]
    smoothed = points(curves.of_run(rows, "loss"))["training, smoothed"]
    assert {value for _, value in smoothed} == {2.5}


def test_validation_is_drawn_as_points():
    drawn = json.loads(curves.of_run(finished_job().metrics, "loss"))["curves"]
    assert [curve["style"] for curve in drawn] == ["faint", "line", "points"]


def test_the_status_tells_how_much_is_tested():
    html = train_results.progress(finished_job(), Snapshot(testing=0.35))
    assert "35 %" in html and 'progress value="0.35"' in html


def test_the_status_has_an_example_of_epoch_and_loss_for_their_explanations():
    snapshot = Snapshot(progress=Progress(2, 8, 1, 1.0, 0.01, 0.1, 0.9, None, None, 100.0))
    html = train_results.progress(finished_job(epochs=2, batch_size=64), snapshot)
    assert "an epoch of this run is 4 steps of 64 images" in html
    assert "0.100" in html and "90.5" in html


def test_runs_are_compared_by_step_and_by_seconds_with_their_validation():
    runs = [finished_job().metrics, finished_job(seed=1).metrics]
    for axis, last in (("step", 3), ("seconds", 1.5)):
        assert points(curves.of_runs(runs, "loss", axis))["run 2"][-1][0] == last
    assert points(curves.of_runs(runs, "accuracy", "step"))["run 1, validation"] == [[3, 80]]


def test_the_table_of_runs_shows_what_differs_and_nothing_else():
    table = train_results.runs([finished_job(), finished_job(seed=7, augmentation=("affine",))])
    assert "seed" in table and ">7<" in table and ">none<" in table and ">affine<" in table
    assert "batch size" not in table
    assert table.count("80.00 %") == 2 and table.count("70.00 %") == 2


def test_the_table_of_runs_names_the_run_that_one_continues_and_no_other():
    first, equal = finished_job(), finished_job()
    further = finished_job(parent=first, seed=1)
    table = train_results.runs([first, equal, further])
    assert table.count("continues run 1") == 1
    assert table.count("continues run") == 1


def test_metrics_as_csv_have_a_row_per_point(tmp_path):
    path = train_results.write_metrics(tmp_path / "curves.csv", finished_job())
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train"] * 3 + ["validation"]
    assert float(rows[-1]["accuracy"]) == 0.8


def test_the_table_of_runs_writes_the_networks_own_dropout_in_words():
    table = train_results.runs([finished_job(), finished_job(dropout=0.5)])
    assert "default" in table and "None" not in table


def test_the_widgets_make_the_presets_recipe_or_say_what_is_missing():
    recipe = PRESETS["mnist-99"].recipe
    values = [getattr(recipe, name) for name in train.HYPERPARAMETERS]
    assert train.recipe_from_widgets("mnist-99", values) == recipe
    values[train.HYPERPARAMETERS.index("epochs")] = None
    with pytest.raises(UserError, match="“epochs” is empty"):
        train.recipe_from_widgets("mnist-99", values)


def test_a_host_that_lends_a_gpu_runs_the_jobs_there(monkeypatch):
    lent = SimpleNamespace(GPU=lambda duration: lambda function: (duration, function))
    monkeypatch.setitem(sys.modules, "spaces", lent)
    monkeypatch.setenv("CNN_TRAIN_SECONDS", "60")
    duration, function = train.remote_training()
    assert duration >= 60
    assert function is train.train_remotely
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert train.remote_training() is None
