"""The README agrees with the checkpoints and the code."""

import re
import subprocess
import sys
from pathlib import Path

from cnn.models import checkpoints
from cnn.training.presets import PRESETS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_table_is_made_from_the_model_cards():
    command = [sys.executable, "-m", "cnn", "models", "--markdown"]
    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    begin = "<!-- results: python -m cnn models --markdown -->\n"
    shown = README.split(begin)[1].split("<!-- end of results -->")[0]
    assert shown == table


def test_the_table_of_the_tutorials_agrees_with_the_model_cards():
    table = README.split("### Reproduce the tutorials")[1].split("###")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) == 5
    for _, _, presets, claims, ours, _ in rows:
        for name in re.findall(r"`([a-z0-9-]+)`", presets):
            card = checkpoints.read_card(checkpoints.BUNDLED / f"{name}.safetensors")
            assert f"{100 * card.test_accuracy:.2f}" in ours, name
            claim = PRESETS[name].reference_accuracy
            assert ("none" if claim is None else f"{100 * claim:g}") in claims, name


def test_every_package_stands_in_the_file_tree():
    for path in (ROOT / "cnn").glob("*/__init__.py"):
        assert f"cnn/{path.parent.name}/" in README, path.parent.name


def test_every_environment_variable_is_documented():
    source = (ROOT / "cnn" / "settings.py").read_text(encoding="utf-8")
    for name in set(re.findall(r'"(CNN_[A-Z_]+|CPU_CORES)"', source)):
        assert f"`{name}`" in README, name


def test_the_readme_has_less_than_170_lines_besides_the_licence():
    assert len(README.split("## Licence")[0].splitlines()) < 170


def test_the_python_example_runs():
    program = README.split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output.startswith("('7', ")
