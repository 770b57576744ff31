"""Killed at any moment or out of space, the program loses no file and starts again."""

import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import hostile, learner

from cnn import UserError
from cnn.data import downloads
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint
from cnn.training.resume import load_state, save_state
from cnn.training.state import start

ROOT = Path(__file__).parents[1]

SAVE = """
import sys
from cnn.models import checkpoints
checkpoint = checkpoints.load(sys.argv[1])
while True:
    checkpoints.save(sys.argv[1], checkpoint)
    print("saved", flush=True)
"""
DOWNLOAD = """
import sys, time
from pathlib import Path
from cnn.data import downloads
with downloads.exclusive(Path(sys.argv[1])) as temporary:
    (temporary / "half").write_bytes(b"half")
    print("half", flush=True)
    time.sleep(600)
"""
SAVE_STATE = """
import sys
sys.path.insert(0, "tests")
from support import learner
from cnn.training.loop import fit
from cnn.training.resume import save_state
from cnn.training.state import start
run = start(learner.RECIPE, learner.few(), learner.CPU)
next(fit(run))
while True:
    save_state(run, sys.argv[1])
    print("saved", flush=True)
"""


def killed(script, path, after):
    """Run a script on a path and kill it after `after` lines of output."""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(after):
            assert process.stdout.readline()
        process.kill()


@pytest.fixture
def honest(tmp_path):
    path = tmp_path / "mnist.safetensors"
    path.write_bytes(hostile.checkpoint())
    return path


def test_a_kill_while_saving_leaves_a_whole_checkpoint(honest):
    killed(SAVE, honest, after=40)
    assert checkpoints.load_default(honest.parent, "mnist").card.model == "two-conv"
    assert checkpoints.list_files(honest.parent) == [honest]
    checkpoints.save(honest, checkpoints.load(honest))


def test_after_a_kill_while_downloading_the_next_process_finds_a_clean_folder(tmp_path):
    killed(DOWNLOAD, tmp_path, after=1)
    with downloads.exclusive(tmp_path) as temporary:
        assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_run_resumes_after_a_kill_while_saving_its_state(tmp_path):
    killed(SAVE_STATE, tmp_path / "run", after=20)
    run = start(learner.RECIPE, learner.few(), learner.CPU)
    load_state(run, tmp_path / "run")
    assert run.step > 0


@pytest.fixture
def small_disk(tmp_path_factory):
    """A disk of 48 kB."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(folder)]
    with contextlib.suppress(FileNotFoundError):
        if os.name == "posix" and subprocess.run(mount, capture_output=True).returncode == 0:
            yield folder
            gc.collect()  # closes the file that torch could not write
            subprocess.run(["umount", str(folder)], check=True)
            return
    pytest.skip("cannot mount a small disk here")


def test_a_full_disk_leaves_the_earlier_checkpoint(small_disk, honest):
    whole = checkpoints.load(honest)
    small = Checkpoint(whole.network[:1], whole.card)
    kept = small_disk / "kept.safetensors"
    checkpoints.save(kept, small)
    before = kept.read_bytes()
    with pytest.raises(UserError, match="Free some space"):
        checkpoints.save(kept, whole)
    assert kept.read_bytes() == before
    assert list(small_disk.iterdir()) == [kept]


def test_a_full_disk_is_an_error_when_saving_a_state(small_disk):
    run = start(learner.RECIPE, learner.few(), learner.CPU)
    with pytest.raises(UserError, match="Free some space"):
        save_state(run, small_disk / "run")
    assert list(small_disk.iterdir()) == []
