"""Two processes learn what one learns from whole batches, and one that dies ends the run."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.models import checkpoints
from cnn.training import distributed
from cnn.training.loop import fit
from cnn.training.state import start

TESTS = Path(__file__).parents[1]  # also holds `support`
RECIPE = replace(learner.BRIEF, optimizer="sgd", learning_rate=0.05)

SHARED = """
import sys, torch
from training import test_distributed
from cnn.training import distributed
with distributed.process_group():
    torch.save(test_distributed.train(), f"{sys.argv[1]}/{distributed.rank()}")
"""

DYING = """
import os, sys
from support import learner
from cnn import __main__
from cnn.data import datasets
from cnn.training import distributed, loop
datasets.load = lambda dataset, validation_size=None: learner.few()
whole = loop.fit
def cut(run):
    for progress in whole(run):
        yield progress
        if progress.epoch == 2:
            os._exit(9)
if distributed.rank():
    loop.fit = cut
sys.exit(__main__.main(sys.argv[1:]))
"""


DISAGREEING = """
import sys
from support import learner
from cnn import __main__
from cnn.data import datasets
from cnn.training import distributed
def load(dataset, validation_size=None):
    few = learner.few()
    wrong = datasets.Split(few.validation.images, 9 - few.validation.labels)
    return few if distributed.rank() else few._replace(validation=wrong)
datasets.load = load
sys.exit(__main__.main(sys.argv[1:]))
"""


def train() -> dict:
    """The weights after a run in float32, and the loss of each epoch."""
    run = start(RECIPE, learner.few(), learner.CPU, torch.float32)
    distributed.shard(run)
    for _ in fit(run):
        pass
    losses = [epoch["train_loss"] for epoch in run.history]
    return {"weights": run.network.state_dict(), "losses": losses}


def _torchrun(script: str, *words) -> subprocess.CompletedProcess:
    """Run a script in two processes under torchrun."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.run(
        [*launch, "--no-python", sys.executable, "-c", script, *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths, "CPU_CORES": "2", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="gloo on Windows wants to be built for it")
def test_two_processes_train_the_same_weights_as_one(tmp_path):
    done = _torchrun(SHARED, tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / rank) for rank in ("0", "1"))
    alone = train()
    for name, weights in one["weights"].items():
        assert torch.equal(weights, other["weights"][name])
        assert torch.allclose(weights, alone["weights"][name], atol=1e-4), name
    halves = zip(one["losses"], other["losses"], strict=True)
    assert [sum(pair) / 2 for pair in halves] == pytest.approx(alone["losses"], abs=1e-3)


@pytest.mark.skipif(os.name == "nt", reason="gloo on Windows wants to be built for it")
def test_a_dead_process_ends_the_run_and_keeps_what_was_learned(tmp_path):
    words = ["--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50"]
    output = tmp_path / "kept.safetensors"
    done = _torchrun(DYING, "train", *words, "--epochs", "1000", "--output", output)
    assert done.returncode != 0, done.stderr
    assert checkpoints.load(output).card.history
    assert "lost the connection" in done.stderr or "exitcode  : 9" in done.stderr, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="gloo on Windows wants to be built for it")
def test_the_patience_of_rank_zero_ends_the_run_of_all(tmp_path):
    words = ["--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50"]
    output = tmp_path / "kept.safetensors"
    words += ["--patience", "1", "--epochs", "20", "--output", output]
    done = _torchrun(DISAGREEING, "train", *words)
    assert done.returncode == 0, done.stderr
    assert len(checkpoints.read_card(output).history) < 10


def test_with_one_process_nothing_changes():
    run = start(RECIPE, learner.few(), learner.CPU)
    network = run.network
    with (
        distributed.process_group(),
        distributed.rank_zero_first(),
        distributed.report_lost_ranks(),
    ):
        distributed.shard(run)
    assert run.forward is run.network is network
    assert (run.shard, run.batch_size) == (slice(None), 50)
    assert not torch.distributed.is_initialized()


def test_a_batch_that_cannot_be_divided_is_an_error(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="multiple of 3"):
        distributed.shard(start(RECIPE, learner.few(), learner.CPU))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK, MASTER_ADDR, MASTER_PORT is not set"),
        ({"WORLD_SIZE": "two"}, "'two', which is not a number"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": ""}, "PORT"),
    ],
)
def test_an_incomplete_process_group_is_an_error(monkeypatch, variables, message):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        with distributed.process_group():
            pass


def test_an_empty_world_size_is_one_process(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert distributed.world_size() == 1


@pytest.mark.skipif(os.name == "nt", reason="gloo on Windows wants to be built for it")
def test_a_port_in_use_is_an_error(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(taken.getsockname()[1])}
        for name, value in (place | {"WORLD_SIZE": "2", "RANK": "0"}).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError, match="could not connect"):
            with distributed.process_group():
                pass
