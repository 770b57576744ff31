"""What the tab Train says of lessons, before and after them."""

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
from cnn.web.tabs import train, train_results


def _course(**changed) -> TrainingJob:
    """A course that has come to its end, without any training."""
    course = TrainingJob(replace(BRIEF, **changed))
    for step in range(1, 4):
        validation = (0.4, 0.8) if step == 3 else (None, None)
        progress = Progress(step, 3, 1, step / 2, 0.01, 1 / step, step / 4, *validation, 100.0)
        course.note(Snapshot(progress=progress))
    card = SimpleNamespace(seconds=1.5, validation_accuracy=0.8)
    course.outcome = SimpleNamespace(checkpoint=SimpleNamespace(card=card))
    return course


def _points(drawn: str) -> dict[str, list]:
    """The points of what curves.js draws, by the names of the curves."""
    return {curve["name"]: curve["points"] for curve in json.loads(drawn)["curves"]}


def test_a_lesson_that_cannot_end_in_time_is_disabled_and_says_why():
    times = {PRESETS["mnist-99"]: 2.7, PRESETS["cifar10-94"]: 1_200.0}
    shown = train_results.lessons("mnist-99", times, 900)
    fast, slow = (
        shown.split(f"value='{name}'")[1].split("</label>")[0]
        for name in ("mnist-99", "cifar10-94")
    )
    assert " checked" in fast and " disabled" not in fast and "about 3 s here" in fast
    assert " disabled" in slow and "about 20 min here, and a lesson may take 15 min" in slow


def test_a_lesson_that_cannot_be_held_is_disabled_and_says_why():
    shown = train_results.lessons("mnist-99", {PRESETS["cifar10-94"]: math.inf}, 900)
    large = shown.split("value='cifar10-94'")[1].split("</label>")[0]
    assert " disabled" in large and "cannot be held on this machine" in large


def test_a_share_reads_100_only_where_it_is_certain():
    split = Split(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([1]))
    look = SamplePredictions(split, torch.tensor([0.999]), torch.tensor([7]))
    assert "99 %" in train_results.mistakes(look, "0123456789")


def test_a_place_in_the_line_is_told_in_words():
    words = "One lesson goes before yours, which begins in about 12 s."
    assert words in train_results.waiting(1, 12.2)
    assert "Getting ready." in train_results.waiting(0, 0)
    assert "3 lessons go before yours" in train_results.waiting(3, 200)


def test_a_curve_holds_its_points_and_stays_small_however_long_it_is():
    course = _course()
    assert _points(train_results.curve(course.curve, "accuracy")) == {
        "training": [[1, 25], [2, 50], [3, 75]],
        "validation": [[3, 80]],
    }
    assert _points(train_results.curve(course.curve, "rate")) == {
        "": [[1, 0.01], [2, 0.01], [3, 0.01]]
    }
    long = _points(train_results.curve(course.curve * 2_000, "loss"))
    assert all(200 < len(points) <= 301 for points in long.values())
    assert long["training"][-1][0] == 3
    assert _points(train_results.curve([], "loss")) == {"training": [], "validation": []}


def test_runs_lie_over_one_another_by_step_and_by_second():
    courses = [_course(), _course(seed=1)]
    for axis, last in (("step", 3), ("second", 1.5)):
        assert _points(train_results.together(courses, "loss", axis))["run 2"][-1][0] == last


def test_a_table_says_what_differed_and_nothing_else():
    table = train_results.differences([_course(), _course(seed=7, augmentation=("translate-4",))])
    assert "seed" in table and ">7<" in table and ">none<" in table and ">shift<" in table
    assert "batch size" not in table
    assert table.count("80.00 %") == 2


def test_a_table_says_which_run_lies_under_another():
    other = _course(seed=7)
    other.curve[0] = other.curve[0] | {"loss": 2.0}
    table = train_results.differences([_course(), other, _course()])
    assert table.count("step by step the same as run 1</th>") == 1
    further = TrainingJob(replace(BRIEF, seed=1), before=other)
    further.outcome = other.outcome
    table = train_results.differences([_course(), other, further])
    assert table.count("goes on from run 2</th>") == 1
    assert "the same as" not in table


def test_the_curve_as_csv_has_a_line_for_each_point(tmp_path):
    path = train_results.write_curve(tmp_path / "curve.csv", _course())
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["training"] * 3 + ["validation"]
    assert float(rows[-1]["accuracy"]) == 0.8


def test_a_comparison_writes_what_a_recipe_leaves_to_its_data_set_in_words():
    table = train_results.differences([_course(), _course(held_out=9)])
    assert "its own" in table and "None" not in table


def test_the_widgets_make_the_preset_itself_or_say_what_is_missing():
    recipe = PRESETS["mnist-99"]
    values = [getattr(recipe, name) for name in train.CHOICES]
    assert train._recipe("mnist-99", values) == recipe
    values[train.CHOICES.index("epochs")] = None
    with pytest.raises(UserError, match="“epochs” is empty"):
        train._recipe("mnist-99", values)


def test_a_host_that_lends_a_gpu_holds_the_lessons(monkeypatch):
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    lends = SimpleNamespace(GPU=lambda duration: lambda function: (duration, function))
    monkeypatch.setitem(sys.modules, "spaces", lends)
    monkeypatch.setenv("CNN_TRAIN_SECONDS", "60")
    duration, function = train._lent()
    assert duration >= 60
    assert function is train.train_remotely
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert train._lent() is None
