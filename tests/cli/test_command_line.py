"""The commands: words in, lines and an exit code out."""

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.commands import SHORT_RUN, lines, run

from cnn.cli import train
from cnn.data import datasets
from cnn.models import architectures, checkpoints
from cnn.models.checkpoints import ModelCard
from cnn.training.config import Recipe
from cnn.training.finalize import finalize

PROGRESS = {
    "event",
    "step",
    "steps",
    "epoch",
    "seconds",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "images_per_second",
}
DONE = {
    "event",
    "checkpoint",
    "seconds",
    "interrupted",
    "test_accuracy",
    "test_accuracy_tta",
    "test_loss",
}
EVALUATED = {
    "checkpoint",
    "dataset",
    "model",
    "parameters",
    "bytes",
    "accuracy",
    "accuracy_tta",
    "loss",
    "ece",
    "ood_auroc",
    "is_default",
}
PREDICTED = {
    *("image", "dataset", "checkpoint", "model"),
    *("label", "probability", "verdict", "probabilities"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The checkpoint of a short run, and the lines it printed."""
    path = tmp_path_factory.mktemp("trained") / "short.safetensors"
    return path, lines("train", *SHORT_RUN, "--output", path)


def test_training_prints_its_progress_and_its_result(trained):
    path, (*progress, done) = trained
    assert all(line.keys() == PROGRESS and line["event"] == "progress" for line in progress)
    assert done.keys() == DONE and done["event"] == "done"
    assert done["checkpoint"] == str(path)
    assert progress[-1]["step"] == progress[-1]["steps"] == 20
    assert progress[-1]["seconds"] == done["seconds"] > 0


def test_training_starts_from_a_checkpoint_with_its_recipe_adapted(trained, tmp_path):
    path, _ = trained
    *_, last, done = lines("train", "--init-from", path, "--output", tmp_path / "more")
    card, origin = checkpoints.read_card(tmp_path / "more"), checkpoints.read_card(path)
    assert card.config["model"] == "two-conv" and last["steps"] == 20
    assert card.config["learning_rate"] == origin.config["learning_rate"] / 5
    assert done["seconds"] > origin.train_seconds


def test_a_run_writes_a_table_beside_its_checkpoint_and_a_plot(tmp_path):
    words = [*SHORT_RUN, "--output", tmp_path / "new" / "run", "--plot", tmp_path / "curve.png"]
    *progress, _ = lines("train", *words)
    with (tmp_path / "new" / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [line["step"] for line in progress]
    assert float(rows[-1]["validation_loss"]) == pytest.approx(progress[-1]["validation_loss"])
    assert Image.open(tmp_path / "curve.png").height > 400


def test_a_divergence_keeps_what_was_learned_and_says_where(tmp_path):
    growing = ["--optimizer", "sgd", "--learning-rate", "1000", "--weight-decay", "10"]
    code, out, err = run("train", *SHORT_RUN, *growing, "--output", tmp_path / "kept", "--json")
    assert code == 2 and "done" not in out
    assert re.search(r"The loss .* until step \d+ is in .*kept\.$", err)
    assert checkpoints.load(tmp_path / "kept")


def test_a_checkpoint_that_cannot_be_written_is_an_error_before_the_work(tmp_path):
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        code, out, err = run("train", *SHORT_RUN, "--output", tmp_path / "kept", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (2, "")
    assert "could not be written" in err and not any(tmp_path.iterdir())


def test_a_folder_that_vanishes_during_training_does_not_lose_the_network(tmp_path, monkeypatch):
    def finalize_elsewhere(run, *card):
        (tmp_path / "new" / "kept.csv").unlink()
        (tmp_path / "new").rmdir()
        (tmp_path / "new").touch()
        return finalize(run, *card)

    monkeypatch.setattr(train, "finalize", finalize_elsewhere)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, _, err = run("train", *SHORT_RUN, "--output", tmp_path / "new" / "kept")
    assert code == 2
    refuge = re.search(r"the network is in '(.*)'\.$", err)[1]
    assert checkpoints.load(refuge)


def test_validation_is_null_except_at_the_end_of_an_epoch(trained):
    _, (*progress, _) = trained
    for key in ("validation_loss", "validation_accuracy"):
        measured = [line["step"] for line in progress if line[key] is not None]
        assert measured == [10, 20]


def test_a_card_holds_the_command_that_made_it(trained):
    path, _ = trained
    assert checkpoints.read_card(path).command.startswith("python -m cnn train --dataset synthetic")


def test_evaluating_a_checkpoint_repeats_what_training_printed(trained):
    path, (*_, done) = trained
    (line,) = lines("evaluate", path)
    assert line.keys() >= EVALUATED
    assert (line["checkpoint"], line["dataset"], line["model"]) == (
        str(path),
        "synthetic",
        "two-conv",
    )
    assert line["accuracy"] == pytest.approx(done["test_accuracy"])
    assert line["loss"] == pytest.approx(done["test_loss"], rel=1e-4)
    assert line["accuracy_tta"] is done["test_accuracy_tta"] is None
    assert line["bytes"] == path.stat().st_size
    assert line["parameters"] == 25_258
    assert line["is_default"] is False
    assert len(line["accuracy_per_class"]) == 10


def test_several_checkpoints_are_evaluated_in_their_order(trained):
    path, _ = trained
    assert [line["checkpoint"] for line in lines("evaluate", path, path)] == [str(path)] * 2


def test_an_ensemble_of_one_equals_its_member(trained, folder):
    path, _ = trained
    (alone,), (single,) = lines("evaluate", path), lines("evaluate", path, "--ensemble")
    for name in ("accuracy", "accuracy_per_class", "parameters", "bytes"):
        assert single[name] == alone[name], name
    (both,) = lines("evaluate", path, path, "--ensemble")
    assert both["checkpoints"] == [str(path)] * 2
    assert both["loss"] == pytest.approx(single["loss"], rel=1e-5)
    code, _, err = run("evaluate", *folder.iterdir(), "--ensemble")
    assert code == 2 and "cifar10 and mnist" in err


def test_evaluating_prints_the_accuracy_of_every_class(trained):
    path, _ = trained
    code, out, _ = run("evaluate", path)
    assert code == 0
    assert all(re.search(rf"^ +{label} .*\d%", out, re.MULTILINE) for label in datasets.DIGITS)


def test_both_default_networks_classify_an_image(folder, image_file):
    predictions = lines("predict", image_file, "--checkpoints", folder)
    assert [line["dataset"] for line in predictions] == ["mnist", "cifar10"]
    for line in predictions:
        assert line.keys() == PREDICTED
        assert line["image"] == str(image_file)
        assert list(line["probabilities"]) == list(datasets.DATASETS[line["dataset"]].classes)
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert line["probability"] == line["probabilities"][line["label"]]
        assert line["verdict"] in ("confident", "uncertain", "out_of_distribution", "blank")


def test_every_image_is_classified_by_each_network(folder, image_file):
    assert len(lines("predict", image_file, image_file, "--checkpoints", folder)) == 4


def test_a_prediction_is_a_line_with_its_verdict(folder, image_file):
    code, out, _ = run("predict", image_file, "--checkpoints", folder)
    digit, photo = out.splitlines()
    assert code == 0
    result = r"\((>\u00a0)?\d+\.\d\u00a0%\), (confident|uncertain)"
    assert re.fullmatch(rf"MNIST -> \d {result}", digit)
    assert re.fullmatch(rf"CIFAR-10 -> [a-z]+ {result}", photo)


def test_figures_of_a_prediction_are_written_to_their_folder(folder, image_file, tmp_path):
    run("predict", image_file, "--checkpoints", folder, "--figures", tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    for dataset in ("mnist", "cifar10"):
        assert f"an image-{dataset}-filters.png" in names
        assert any(re.fullmatch(rf"an image-{dataset}-maps-\d-conv1.png", name) for name in names)


def test_figures_of_two_images_load_each_network_once(folder, image_file, tmp_path, monkeypatch):
    read, load = [], checkpoints.load
    monkeypatch.setattr(checkpoints, "load", lambda path: read.append(path) or load(path))
    run(
        "predict",
        image_file,
        image_file,
        "--checkpoints",
        folder,
        "--figures",
        tmp_path / "figures",
    )
    assert sorted(read) == checkpoints.list_files(folder)


def test_models_lists_the_cards(folder):
    cards = lines("models", "--checkpoints", folder)
    assert [line["dataset"] for line in cards] == ["cifar10", "mnist"]
    assert all(
        line.keys() >= {field.name for field in dataclasses.fields(ModelCard)} for line in cards
    )
    code, out, _ = run("models", "--checkpoints", folder)
    assert code == 0
    assert all(f"{name}-two-conv" in out for name in ("mnist", "cifar10"))


def test_an_empty_folder_has_no_models(tmp_path):
    assert lines("models", "--checkpoints", tmp_path) == []


@pytest.mark.parametrize("command", ["train", "sweep", "evaluate", "export", "predict", "models"])
def test_every_command_has_a_help_text_with_examples(command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "--json" in out and out.count(f"python -m cnn {command}") == 3
    if command in ("train", "sweep"):
        flags = ["--" + field.name.replace("_", "-") for field in dataclasses.fields(Recipe)]
        assert all(flag in out for flag in flags)


@pytest.mark.parametrize(
    "words",
    [
        "evaluate nowhere.safetensors",
        "evaluate {here}/nonsense",
        "predict {here}/nonsense --checkpoints {folder}",
        "predict nowhere.png --checkpoints {folder}",
        "predict nowhere.png --checkpoints {here}/nowhere",
        "train",
        "train --output {here}/x --resume",
        "train --output {here}/x --resume --state {here}/missing",
        "train --output {here}/x --device cuda:99",
        "train --output {here}/x --config {here}/missing",
        "train --output {here}/nonsense",
        "train --output {here}/x --plot {here}/nonsense",
        "sweep",
        "evaluate {here}",
        "train --output {here}",
        "train --output {here}/x --preset letters",
        "train --output {here}/x --dataset imagenet",
        "train --output {here}/x --model alexnet",
        "train --output {here}/x --epochs 0",
        "train --output {here}/x --epochs nan",
        "train --output {here}/x --augmentation mixup",
        "train --output {here}/x --batch-size 5000",
        "train --output {here}/nonsense/x --dataset synthetic --model two-conv --epochs 0.01",
    ],
)
def test_a_user_error_is_one_sentence_and_the_exit_code_2(words, folder, tmp_path):
    (tmp_path / "nonsense").write_text("neither an image nor a checkpoint")
    places = {"here": tmp_path, "folder": folder}
    code, out, err = run(*[word.format(**places) for word in words.split()], "--json")
    assert code == 2
    assert err.strip().endswith(".") and "\n" not in err.strip()
    assert "Traceback" not in err and "done" not in out
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words",
    ["", "evaluate", "export x", "predict", "paint", "train --epochs x", "train --seed 1.5"],
)
def test_an_invalid_command_line_shows_the_usage(words):
    code, out, err = run(*words.split())
    assert code == 2
    assert "usage" in err and not out


FEW_DIGITS = """
import sys
from support import learner
from support.commands import SHORT_RUN, lines, run
from cnn import __main__
from cnn.data import datasets
datasets.load = lambda dataset, validation_size=None: learner.few()
sys.exit(__main__.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_keeps_what_was_learned(tmp_path):
    path = tmp_path / "kept.safetensors"
    words = ["train", *SHORT_RUN[:-1], "1000", "--seed", "3", "--output", str(path), "--json"]
    tests = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", FEW_DIGITS, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert json.loads(first)["step"] == 1
    done = json.loads(out.splitlines()[-1])
    assert done["event"] == "done" and done["interrupted"] is True
    network, card, _ = checkpoints.load(path)
    assert card.interrupted
    assert card.seed == 3 and card.test_accuracy == pytest.approx(done["test_accuracy"])
    torch.manual_seed(3)
    fresh = architectures.build("two-conv", datasets.SYNTHETIC)
    assert not torch.equal(network.dense1.bias, fresh.dense1.bias)
