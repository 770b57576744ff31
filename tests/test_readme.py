"""The README says what the checkpoints say."""

import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[1]
README = (HOUSE / "README.md").read_text(encoding="utf-8")


def test_the_results_table_is_the_one_that_the_cards_give():
    command = [sys.executable, "-m", "cnn", "models", "--markdown"]
    table = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    begin = "<!-- results: python -m cnn models --markdown -->\n"
    shown = README.split(begin)[1].split("<!-- end of results -->")[0]
    assert shown == table


def test_every_module_stands_in_the_file_tree():
    for path in (HOUSE / "cnn").glob("*.py"):
        assert f"cnn/{path.name}" in README or path.name == "__init__.py", path.name


def test_there_are_five_lines_to_use_the_package_and_they_run():
    block = README.split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-c", block]
    answer = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    assert answer.startswith("('7', ")
