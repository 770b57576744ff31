"""A sweep compares its runs fairly, can be continued, and survives a failing run."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.__main__ import main
from cnn.data import datasets
from cnn.models import checkpoints
from cnn.training import sweep
from cnn.training.config import Recipe

BASE = Recipe(dataset="synthetic", model="two-conv", epochs=0.01, batch_size=50)


def test_texts_become_values_of_their_fields():
    words = [
        "learning-rate=0.1,0.2",
        "augmentation=,affine+translate-2",
        "epochs=1..3",
        "teacher=../a,none",
    ]
    assert sweep.parse_space(words) == {
        "learning_rate": [0.1, 0.2],
        "augmentation": [(), ("affine", "translate-2")],
        "epochs": (1.0, 3.0),
        "teacher": ["../a", None],
    }


@pytest.mark.parametrize("word", ["colour=red", "epochs=many", "epochs", "seed=a..b"])
def test_a_text_that_is_not_a_field_and_value_is_an_error(word):
    with pytest.raises(UserError, match="Choose|Give"):
        sweep.parse_space([word])


def test_a_grid_holds_every_combination():
    combinations = sweep.grid_search(
        BASE, {"learning_rate": [0.1, 0.2], "batch_size": [10, 20, 30]}
    )
    assert len({recipe for _, recipe in combinations}) == 6
    assert all(recipe == replace(BASE, **params) for params, recipe in combinations)
    with pytest.raises(UserError, match="--samples"):
        sweep.grid_search(BASE, {"learning_rate": (0.1, 0.2)})


def test_random_search_stays_within_its_ranges_and_repeats_itself():
    space = {"learning_rate": (1e-4, 1.0), "batch_size": (10, 100), "momentum": [0.8, 0.9]}
    drawn = [recipe for _, recipe in sweep.random_search(BASE, space, 200)]
    assert drawn == [recipe for _, recipe in sweep.random_search(BASE, space, 200)]
    assert all(1e-4 <= one.learning_rate <= 1 and 10 <= one.batch_size <= 100 for one in drawn)
    assert 70 < sum(one.learning_rate < 0.01 for one in drawn) < 130, "evenly by the logarithm"


def test_every_image_is_validated_on_in_one_fold_and_trained_on_in_the_others():
    few = learner.few()
    folds = [datasets.fold(few, number, 3) for number in range(3)]
    everything = torch.cat([few.train.images, few.validation.images])
    held_out = torch.cat([fold.validation.images for fold in folds])
    assert _sorted(held_out) == _sorted(everything)
    counts = torch.stack([fold.validation.labels.bincount() for fold in folds])
    assert (counts.amax(0) - counts.amin(0)).max() <= 1
    for fold in folds:
        both = torch.cat([fold.train.images, fold.validation.images])
        assert _sorted(both) == _sorted(everything)
        assert fold.test is few.test


def _sorted(images: torch.Tensor) -> list[bytes]:
    return sorted(image.numpy().tobytes() for image in images)


def test_a_sweep_survives_a_failing_run_and_can_be_continued(tmp_path, capsys):
    table = tmp_path / "sweep.csv"
    words = ["sweep", "--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50"]
    words += ["--optimizer", "sgd", "--weight-decay", "10", "--epochs", "0.05"]
    words += [
        "--param",
        "learning-rate=0.01,1000",
        "--folds",
        "2",
        "--output",
        str(table),
        "--json",
    ]
    assert main(words) == 1
    *_, summary = first = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    runs = [line for line in first if line["event"] == "run"]
    assert sorted(bool(run["error"]) for run in runs) == [False, False, True, True]
    assert summary["learning_rate"] == 0.01 and summary["runs"] == 2
    accuracies = [run["validation_accuracy"] for run in runs if not run["error"]]
    assert summary["validation_accuracy"] == pytest.approx(sum(accuracies) / 2)
    with table.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert main([*words[:-1], "--param", "learning-rate=0.01"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3, "no run is repeated"
    assert "0.01" in out[1] and "±" in out[1]


@pytest.mark.parametrize("flag", ["--seeds=0", "--workers=-1", "--samples=0", "--folds=1"])
def test_impossible_numbers_of_runs_are_an_error(flag, tmp_path, capsys):
    table = tmp_path / "sweep.csv"
    assert main(["sweep", "--param", "epochs=1", flag, "--output", str(table)]) == 2
    assert "Choose" in capsys.readouterr().err and not table.exists()


def test_the_table_of_another_sweep_is_not_changed(tmp_path):
    (tmp_path / "other.csv").write_text("name,value\n")
    trials = sweep.trials(sweep.grid_search(BASE, {"epochs": [1.0]}), seeds=1, folds=0)
    with pytest.raises(UserError, match="another sweep"):
        next(sweep.run(trials, tmp_path / "other.csv", workers=1))
    assert (tmp_path / "other.csv").read_text() == "name,value\n"


def test_a_table_that_cannot_be_written_is_an_error_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    trials = sweep.trials(sweep.grid_search(BASE, {}), seeds=1, folds=0)
    with pytest.raises(UserError, match="could not be written"):
        next(sweep.run(trials, tmp_path / "file" / "sweep.csv", workers=1))


def test_a_recipe_can_be_cross_validated_without_varying_anything(tmp_path, capsys):
    words = ["--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50"]
    words += ["--epochs", "0.05", "--folds", "2", "--output", str(tmp_path / "new" / "sweep.csv")]
    words += ["--keep-best", str(tmp_path / "best.safetensors")]
    assert main(["sweep", *words]) == 0
    first, second, _, summary, best, kept = capsys.readouterr().out.splitlines()
    assert "seed 0, fold 0: " in first + second and "seed 0, fold 1: " in first + second
    assert summary.startswith("2 ") and "±" in summary
    assert best.startswith("best: python -m cnn train --dataset synthetic")
    card = checkpoints.read_card(tmp_path / "best.safetensors")
    assert card.config["epochs"] == 0.05 and f"{card.test_accuracy:.2%}" in kept
