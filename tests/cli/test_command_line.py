"""The commands as scripts and people meet them: words in, lines and an exit code out."""

import contextlib
import csv
import dataclasses
import io
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
from support import learner

from cnn.__main__ import main
from cnn.cli import train
from cnn.data import datasets
from cnn.models import architectures, checkpoints
from cnn.models.checkpoints import ModelCard
from cnn.training.config import Recipe
from cnn.training.finalize import finalize
from cnn.training.state import start

PROGRESS = {
    "event",
    "step",
    "steps",
    "epoch",
    "seconds",
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
    "test_accuracy",
    "test_accuracy_averaged",
    "test_loss",
}
EVALUATED = {
    "checkpoint",
    "dataset",
    "model",
    "parameters",
    "bytes",
    "accuracy",
    "accuracy_averaged",
    "loss",
    "default",
}
PREDICTED = {"image", "dataset", "model", "label", "probability", "verdict", "probabilities"}

BRIEFLY = ("--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50", "--epochs", "2")


def _say(*words) -> tuple[int, str, str]:
    """The exit code, and what was written to stdout and to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def _lines(*words) -> list[dict]:
    code, out, err = _say(*words, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def few_digits():
    """Every command finds only few digits, and as many threads as the other tests have."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", lambda dataset, held_out=None: learner.few())
        patch.setenv("CPU_CORES", str(threads))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Untaught networks for digits and photographs, as the page would find them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    untaught = finalize(start(learner.BRIEF, learner.few(), learner.CPU))
    torch.manual_seed(0)
    for dataset in (datasets.MNIST, datasets.CIFAR10):
        changes = {"dataset": dataset.name, "classes": dataset.classes, "threshold": -1e9}
        card = dataclasses.replace(untaught.card, **changes)
        network = architectures.build("two-conv", dataset)
        path = folder / f"{dataset.name}-two-conv.safetensors"
        checkpoints.save(path, checkpoints.Checkpoint(network, card))
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "one of ours.png"
    Image.fromarray(learner.few().test.images[0, 0].numpy()).resize((200, 200)).save(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The checkpoint of a brief run, and the lines it printed."""
    path = tmp_path_factory.mktemp("trained") / "brief.safetensors"
    return path, _lines("train", *BRIEFLY, "--output", path)


def test_training_prints_its_progress_and_then_what_came_of_it(trained):
    path, (*progress, done) = trained
    assert all(line.keys() == PROGRESS and line["event"] == "progress" for line in progress)
    assert done.keys() == DONE and done["event"] == "done"
    assert done["checkpoint"] == str(path)
    assert progress[-1]["step"] == progress[-1]["steps"] == 20
    assert progress[-1]["seconds"] == done["seconds"] > 0


def test_training_goes_on_from_a_checkpoint_by_its_own_recipe(trained, tmp_path):
    path, _ = trained
    *_, last, done = _lines("train", "--continue-from", path, "--output", tmp_path / "more")
    card, origin = checkpoints.read_card(tmp_path / "more"), checkpoints.read_card(path)
    assert card.recipe["model"] == "two-conv" and last["steps"] == 20
    assert card.recipe["learning_rate"] == origin.recipe["learning_rate"] / 5
    assert done["seconds"] > origin.seconds


def test_every_run_leaves_a_table_beside_its_checkpoint_and_a_plot_where_asked(tmp_path):
    words = [*BRIEFLY, "--output", tmp_path / "new" / "run", "--plot", tmp_path / "curve.png"]
    *progress, _ = _lines("train", *words)
    with (tmp_path / "new" / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [line["step"] for line in progress]
    assert float(rows[-1]["validation_loss"]) == progress[-1]["validation_loss"]
    assert Image.open(tmp_path / "curve.png").height > 400


def test_a_loss_that_breaks_keeps_what_was_learnt_and_says_where(tmp_path):
    growing = ["--optimizer", "sgd", "--learning-rate", "1000", "--weight-decay", "10"]
    code, out, err = _say("train", *BRIEFLY, *growing, "--output", tmp_path / "kept", "--json")
    assert code == 2 and "done" not in out
    assert re.search(r"The loss .* until step \d+ is in .*kept\.$", err)
    assert checkpoints.load(tmp_path / "kept")


def test_where_no_checkpoint_can_be_written_one_is_told_before_the_work(tmp_path):
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        code, out, err = _say("train", *BRIEFLY, "--output", tmp_path / "kept", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (2, "")
    assert "could not be written" in err and not any(tmp_path.iterdir())


def test_the_folder_of_a_run_put_aside_is_made_or_refused_before_the_work(tmp_path):
    words = ["train", *BRIEFLY, "--output", tmp_path / "kept", "--resume"]
    assert _lines(*words, tmp_path / "new" / "run")[-1]["event"] == "done"
    code, out, err = _say(*words, tmp_path / "kept" / "run", "--json")
    assert (code, out) == (2, "")
    assert "could not be written" in err
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run"]


def test_a_place_that_is_lost_while_training_does_not_lose_the_network(tmp_path, monkeypatch):
    def conclude(run, whole=finalize):
        (tmp_path / "new" / "kept.csv").unlink()
        (tmp_path / "new").rmdir()
        (tmp_path / "new").touch()
        return whole(run)

    monkeypatch.setattr(train, "finalize", conclude)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, _, err = _say("train", *BRIEFLY, "--output", tmp_path / "new" / "kept")
    assert code == 2
    refuge = re.search(r"the network is in '(.*)'\.$", err)[1]
    assert checkpoints.load(refuge)


def test_validation_is_null_but_at_the_end_of_an_epoch(trained):
    _, (*progress, _) = trained
    for key in ("validation_loss", "validation_accuracy"):
        measured = [line["step"] for line in progress if line[key] is not None]
        assert measured == [10, 20]


def test_a_checkpoint_knows_the_command_that_made_it(trained):
    path, _ = trained
    assert checkpoints.read_card(path).command.startswith("python -m cnn train --dataset synthetic")


def test_evaluating_a_checkpoint_gives_what_its_training_said(trained):
    path, (*_, done) = trained
    (line,) = _lines("evaluate", path)
    assert line.keys() >= EVALUATED
    assert (line["checkpoint"], line["dataset"], line["model"]) == (
        str(path),
        "synthetic",
        "two-conv",
    )
    assert line["accuracy"] == pytest.approx(done["test_accuracy"])
    assert line["loss"] == pytest.approx(done["test_loss"], rel=1e-4)
    assert line["accuracy_averaged"] is done["test_accuracy_averaged"] is None
    assert line["bytes"] == path.stat().st_size
    assert line["parameters"] == 25_258
    assert line["default"] is False
    assert len(line["per_class"]) == 10


def test_several_checkpoints_are_evaluated_in_their_order(trained):
    path, _ = trained
    assert [line["checkpoint"] for line in _lines("evaluate", path, path)] == [str(path)] * 2


def test_an_ensemble_of_one_is_as_good_as_it_alone_and_of_two_a_single_answer(trained, folder):
    path, _ = trained
    (alone,), (single,) = _lines("evaluate", path), _lines("evaluate", path, "--ensemble")
    for name in ("accuracy", "per_class", "parameters", "bytes"):
        assert single[name] == alone[name], name
    (both,) = _lines("evaluate", path, path, "--ensemble")
    assert both["checkpoints"] == [str(path)] * 2
    assert both["loss"] == pytest.approx(single["loss"], rel=1e-5)
    code, _, err = _say("evaluate", *folder.iterdir(), "--ensemble")
    assert code == 2 and "cifar10 and mnist" in err


def test_evaluating_for_people_names_every_class(trained):
    path, _ = trained
    code, out, _ = _say("evaluate", path)
    assert code == 0
    assert all(re.search(rf"^ +{label} .*\d%", out, re.MULTILINE) for label in datasets.DIGITS)


def test_both_networks_say_what_they_see(folder, picture):
    lines = _lines("predict", picture, "--checkpoints", folder)
    assert [line["dataset"] for line in lines] == ["mnist", "cifar10"]
    for line in lines:
        assert line.keys() == PREDICTED
        assert line["image"] == str(picture)
        assert list(line["probabilities"]) == list(datasets.DATASETS[line["dataset"]].classes)
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert line["probability"] == line["probabilities"][line["label"]]
        assert line["verdict"] in ("sure", "unsure", "unfamiliar", "empty")


def test_each_picture_is_answered_by_each_network(folder, picture):
    assert len(_lines("predict", picture, picture, "--checkpoints", folder)) == 4


def test_for_people_an_answer_is_a_line(folder, picture):
    code, out, _ = _say("predict", picture, "--checkpoints", folder)
    digit, photo = out.splitlines()
    assert code == 0
    assert re.fullmatch(r"MNIST -> \d \(\d+\.\d ?%\)", digit)
    assert re.fullmatch(r"CIFAR-10 -> [a-z]+ \(\d+\.\d ?%\)", photo)


def test_figures_are_written_where_asked(folder, picture, tmp_path):
    _say("predict", picture, "--checkpoints", folder, "--figures", tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    for dataset in ("mnist", "cifar10"):
        assert f"one of ours-{dataset}-filters.png" in names
        assert any(
            re.fullmatch(rf"one of ours-{dataset}-maps-\d-conv1.png", name) for name in names
        )


def test_figures_of_two_pictures_read_each_network_once(folder, picture, tmp_path, monkeypatch):
    read, load = [], checkpoints.load
    monkeypatch.setattr(checkpoints, "load", lambda path: read.append(path) or load(path))
    _say("predict", picture, picture, "--checkpoints", folder, "--figures", tmp_path / "figures")
    assert sorted(read) == checkpoints.list_files(folder)


def test_the_table_of_checkpoints_is_their_cards(folder):
    lines = _lines("models", "--checkpoints", folder)
    assert [line["dataset"] for line in lines] == ["cifar10", "mnist"]
    assert all(
        line.keys() >= {field.name for field in dataclasses.fields(ModelCard)} for line in lines
    )
    code, out, _ = _say("models", "--checkpoints", folder)
    assert code == 0
    assert all(f"{name}-two-conv" in out for name in ("mnist", "cifar10"))


def test_of_an_empty_folder_the_table_is_empty(tmp_path):
    assert _lines("models", "--checkpoints", tmp_path) == []


@pytest.mark.parametrize("command", ["train", "sweep", "evaluate", "export", "predict", "models"])
def test_every_command_explains_itself(command):
    code, out, _ = _say(command, "--help")
    assert code == 0
    assert "--json" in out
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
def test_what_a_person_can_mend_is_one_sentence_and_the_exit_code_2(words, folder, tmp_path):
    (tmp_path / "nonsense").write_text("neither a picture nor a checkpoint")
    places = {"here": tmp_path, "folder": folder}
    code, out, err = _say(*[word.format(**places) for word in words.split()], "--json")
    assert code == 2
    assert err.strip().endswith(".") and "\n" not in err.strip()
    assert "Traceback" not in err and "done" not in out
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words", ["", "train", "sweep", "evaluate", "export x", "predict", "paint", "train --epochs x"]
)
def test_words_that_no_command_understands_end_with_the_exit_code_2(words):
    code, out, err = _say(*words.split())
    assert code == 2
    assert "usage" in err and not out


FEW_DIGITS = """
import sys
from support import learner
from cnn import __main__
from cnn.data import datasets
datasets.load = lambda dataset, held_out=None: learner.few()
sys.exit(__main__.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    path = tmp_path / "kept.safetensors"
    words = ["train", *BRIEFLY[:-1], "1000", "--seed", "3", "--output", str(path), "--json"]
    tests = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", FEW_DIGITS, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        first = run.stdout.readline()
        run.send_signal(signal.SIGINT)
        out, err = run.communicate()
    assert run.returncode == 0, err
    assert json.loads(first)["step"] == 1
    done = json.loads(out.splitlines()[-1])
    assert done["event"] == "done"
    network, card = checkpoints.load(path)
    assert card.seed == 3 and card.test_accuracy == done["test_accuracy"]
    torch.manual_seed(3)
    fresh = architectures.build("two-conv", datasets.SYNTHETIC)
    assert not torch.equal(network.dense1.bias, fresh.dense1.bias)
