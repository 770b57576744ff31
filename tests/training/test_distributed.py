"""Two processes learn what one learns from the whole batch, and one that dies ends the run."""

import os
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
    torch.save(test_distributed.followed(), f"{sys.argv[1]}/{distributed.rank()}")
"""

DYING = """
import os, sys
from support import learner
from cnn import __main__
from cnn.data import datasets
from cnn.training import distributed, loop
datasets.load = lambda dataset, held_out=None: learner.few()
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


DIVIDED = """
import sys
from support import learner
from cnn import __main__
from cnn.data import datasets
from cnn.training import distributed
def load(dataset, held_out=None):
    few = learner.few()
    wrong = datasets.Split(few.validation.images, 9 - few.validation.labels)
    return few if distributed.rank() else few._replace(validation=wrong)
datasets.load = load
sys.exit(__main__.main(sys.argv[1:]))
"""


def followed() -> dict:
    """The weights that a run in float32 ends with, and the loss of each epoch."""
    run = start(RECIPE, learner.few(), learner.CPU)
    run.precision = torch.float32
    distributed.shard(run)
    for _ in fit(run):
        pass
    losses = [epoch["train_loss"] for epoch in run.history]
    return {"weights": run.network.state_dict(), "losses": losses}


def _together(script: str, *words) -> subprocess.CompletedProcess:
    """Two processes under torchrun; gloo is told where to find itself on any machine."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.run(
        [*launch, "--no-python", sys.executable, "-c", script, *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths, "CPU_CORES": "2", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="gloo on Windows wants to be built for it")
def test_two_processes_end_with_the_weights_of_one_that_takes_whole_batches(tmp_path):
    done = _together(SHARED, tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / rank) for rank in ("0", "1"))
    alone = followed()
    for name, weights in one["weights"].items():
        assert torch.equal(weights, other["weights"][name])
        assert torch.allclose(weights, alone["weights"][name], atol=1e-4), name
    halves = zip(one["losses"], other["losses"], strict=True)
    assert [sum(pair) / 2 for pair in halves] == pytest.approx(alone["losses"], abs=1e-3)


@pytest.mark.skipif(os.name == "nt", reason="gloo on Windows wants to be built for it")
def test_a_process_that_dies_ends_the_run_and_what_was_learnt_is_kept(tmp_path):
    words = ["--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50"]
    output = tmp_path / "kept.safetensors"
    done = _together(DYING, "train", *words, "--epochs", "1000", "--output", output)
    assert done.returncode != 0, done.stderr
    assert checkpoints.load(output).card.history
    assert "lost touch" in done.stderr or "exitcode  : 9" in done.stderr, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="gloo on Windows wants to be built for it")
def test_the_patience_of_the_first_process_ends_the_run_of_all(tmp_path):
    words = ["--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50"]
    output = tmp_path / "kept.safetensors"
    words += ["--patience", "1", "--epochs", "20", "--output", output]
    done = _together(DIVIDED, "train", *words)
    assert done.returncode == 0, done.stderr
    assert len(checkpoints.read_card(output).history) < 10


def test_alone_nothing_is_changed():
    run = start(RECIPE, learner.few(), learner.CPU)
    network = run.network
    with (
        distributed.process_group(),
        distributed.rank_zero_first(),
        distributed.report_lost_ranks(),
    ):
        distributed.shard(run)
    assert run.network is network
    assert (run.share, run.batch_size) == (slice(None), 50)
    assert not torch.distributed.is_initialized()


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="multiple of 3"):
        distributed.shard(start(RECIPE, learner.few(), learner.CPU))
