"""The parser is quick, suggests words, and turns every ending into an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import run

import cnn
from cnn import __main__
from cnn.cli import models

ROOT = Path(__file__).parents[2]


def test_the_help_text_imports_neither_torch_nor_matplotlib():
    script = (
        "import sys; from cnn.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'torch', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "train" in done.stdout and done.stdout.endswith("[]\n")


def test_the_version_is_the_packages():
    assert run("--version") == (0, f"cnn {cnn.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [("trian", "'train'"), ("train --lerning-rate 1", "'--learning-rate'")],
)
def test_a_misspelled_word_is_answered_with_the_nearest_one(words, suggestion):
    code, _, err = run(*words.split())
    assert code == 2 and f"Did you mean {suggestion}?" in err


def test_ctrl_c_in_any_command_is_one_sentence_and_the_exit_code_130(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "run", interrupt)
    assert run("models") == (130, "", "Interrupted.\n")


def test_every_command_has_a_module_with_the_same_name():
    names = {path.stem for path in Path(models.__file__).parent.glob("*.py")}
    assert names - {"__init__", "arguments"} == set(__main__.COMMANDS)
