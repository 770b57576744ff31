"""`train` guards files, resumes, and says in the card on what it ran."""

import contextlib
import csv
import io
import json
import os
import re
import stat

import pytest
import torch
from support.commands import SHORT_RUN, lines, run

from cnn import hardware
from cnn.__main__ import main
from cnn.models import checkpoints
from cnn.training.presets import PRESETS


@pytest.mark.parametrize("name", ["kept.safetensors", "kept.csv", "kept.png", "kept.state"])
def test_an_existing_file_is_not_replaced_without_force(tmp_path, name):
    (tmp_path / name).write_text("precious")
    words = ["train", *SHORT_RUN, "--output", tmp_path / "kept.safetensors"]
    words += ["--plot", tmp_path / "kept.png", "--state", tmp_path / "kept.state"]
    code, out, err = run(*words, "--json")
    assert (code, out) == (2, "")
    assert f"{name}' exists already" in err and "--force" in err
    assert (tmp_path / name).read_text() == "precious"
    assert lines(*words, "--force")[-1]["event"] == "done"


@pytest.mark.parametrize(
    ("output", "table"),
    [("a.safetensors", "a.csv"), ("run.csv", "run.csv.csv"), ("mnist-99.4", "mnist-99.4.csv")],
)
def test_the_table_lies_beside_the_checkpoint_under_its_name(tmp_path, output, table):
    lines("train", *SHORT_RUN, "--output", tmp_path / output)
    assert {path.name for path in tmp_path.iterdir()} == {output, table}
    assert checkpoints.read_card(tmp_path / output).model == "two-conv"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_modes_of_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        words = ["--output", tmp_path / "a.safetensors", "--plot", tmp_path / "a.png"]
        lines("train", *SHORT_RUN, *words, "--state", tmp_path / "a.state")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("a.safetensors", "a.csv", "a.png", "a.state"), 0o640)


def test_a_run_is_resumed_from_its_state_and_ends_with_the_same_weights(tmp_path, monkeypatch):
    words = ["train", *SHORT_RUN[:-1], "3", "--augmentation", "affine"]
    state = ["--state", tmp_path / "state"]
    lines(*words, *state, "--output", tmp_path / "whole.safetensors")
    monkeypatch.setattr("cnn.cli.train.save_state", _save_only_the_first_epoch)
    lines(*words, "--state", tmp_path / "early", "--output", tmp_path / "first.safetensors")
    resume = [*words, "--resume", "--state", tmp_path / "early", "--output"]
    code, out, err = run(*resume, tmp_path / "resumed.safetensors")
    assert code == 0, err
    assert "continuing from step 10 of 30" in out
    whole, resumed = (
        checkpoints.load(tmp_path / f"{name}.safetensors").network.state_dict()
        for name in ("whole", "resumed")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with (tmp_path / "resumed.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps[0] == 10 and steps[-1] == 30
    code, _, err = run(
        *resume, tmp_path / "other.safetensors", "--precision", "float32", "--seed", 4
    )
    assert code == 2 and "seed (0 there, 4 here)" in err


def _save_only_the_first_epoch(state, path):
    from cnn.training.resume import save_state

    if not path.exists():
        save_state(state, path)


@pytest.mark.parametrize("precision", hardware.PRECISIONS)
def test_the_card_says_device_and_precision(tmp_path, precision):
    path = tmp_path / "a.safetensors"
    lines("train", *SHORT_RUN, "--output", path, "--device", "cpu", "--precision", precision)
    card = checkpoints.read_card(path)
    assert (card.device, card.precision) == ("cpu", precision)


def test_the_card_has_the_presets_reference_accuracy_unless_another_is_given(tmp_path):
    words = ["train", "--preset", "mnist-three-conv", "--epochs", "0.1", "--batch-size", "50"]
    for name, more, expected in (
        ("preset", [], (0.98, False)),
        ("given", ["--reference-accuracy", "0.5", "--make-default"], (0.5, True)),
    ):
        path = tmp_path / f"{name}.safetensors"
        lines(*words, *more, "--output", path)
        card = checkpoints.read_card(path)
        assert (card.reference_accuracy, card.is_default) == expected
        assert f"--reference-accuracy {expected[0]}" in card.command


@pytest.mark.parametrize("name", ["mnist-99.5", "photos-small"])
def test_a_printed_configuration_can_be_read_again(tmp_path, name):
    code, out, _ = run("train", "--preset", name, "--print-config")
    assert code == 0
    (tmp_path / "recipe.json").write_text(out)
    code, again, _ = run("train", "--config", tmp_path / "recipe.json", "--print-config")
    assert (code, again) == (0, out)
    assert json.loads(out)["epochs"] == PRESETS[name].recipe.epochs


def test_without_a_terminal_each_epoch_is_a_line(tmp_path):
    code, out, err = run("train", *SHORT_RUN, "--output", tmp_path / "a.safetensors")
    assert (code, err) == (0, "")
    first, second, evaluating, result = out.splitlines()
    assert first.startswith("epoch 1: ") and second.startswith("epoch 2: ")
    assert evaluating == "evaluating on the test set"
    assert result.startswith("trained for ") and result.endswith("a.safetensors")


def test_checkpoints_of_epochs_are_saved_beside_the_last_and_change_nothing(tmp_path):
    words = ["train", *SHORT_RUN[:-1], "5", "--output"]
    lines(*words, tmp_path / "plain.safetensors")
    lines(*words, tmp_path / "kept.safetensors", "--checkpoint-every", "2")
    names = {path.name for path in tmp_path.glob("kept*.safetensors")}
    assert names == {f"kept{epoch}.safetensors" for epoch in ("", "-epoch-2", "-epoch-4")}
    early, plain, kept = (
        checkpoints.load(tmp_path / f"{name}.safetensors")
        for name in ("kept-epoch-2", "plain", "kept")
    )
    assert early.card.interrupted and [row["epoch"] for row in early.card.history] == [1, 2]
    weights, expected = kept.network.state_dict(), plain.network.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert not torch.equal(early.network.conv1.weight, kept.network.conv1.weight)


def test_a_checkpoint_of_an_epoch_is_not_replaced_without_force(tmp_path):
    (tmp_path / "a-epoch-1.safetensors").write_text("precious")
    words = ["train", *SHORT_RUN, "--output", tmp_path / "a", "--checkpoint-every", "1"]
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "a-epoch-1.safetensors' exists already" in err
    code, _, err = run(*words[:-1], "0")
    assert code == 2 and "0 is not 1 or more" in err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_evaluation_has_a_bar(tmp_path):
    with contextlib.redirect_stderr(Terminal()) as terminal:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            main(["train", *SHORT_RUN, "--output", str(tmp_path / "a")])
    shown = re.findall(r"evaluating on the test set: +(\d+)%", terminal.getvalue())
    assert shown[0] == "0" and shown[-1] == "100"
    assert "evaluating" not in out.getvalue()


@pytest.fixture
def without_side_effects():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("without_side_effects")
@pytest.mark.parametrize("flags", [[], ["--deterministic"]])
def test_a_run_uses_deterministic_algorithms_only_when_asked(tmp_path, flags):
    lines("train", *SHORT_RUN, "--output", tmp_path / "a", *flags)
    assert torch.are_deterministic_algorithms_enabled() == bool(flags)
    command = checkpoints.load(tmp_path / "a").card.command
    assert ("--deterministic" in command) == bool(flags)
