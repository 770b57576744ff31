"""The house keeps to the floors that the package's own docstring draws."""

import ast
import re
from pathlib import Path

import pytest

import cnn

HOUSE = Path(__file__).parents[1]
PACKAGE = HOUSE / "cnn"


def _floors() -> dict[str, int]:
    """Each room of the map with its floor, the ground being 0: `page/` is the room "page"."""
    lines = [line for line in cnn.__doc__.splitlines() if line.startswith("    ")]
    words = [re.split(r"\s{2,}", line.strip()) for line in reversed(lines)]
    return {
        word.rstrip("/"): floor
        for floor, row in enumerate(words)
        for word in row
        if re.fullmatch(r"[a-z_0-9]+/?", word)
    }


FLOORS = _floors()
ROOMS = {
    path: path.stem if path.parent == PACKAGE else path.parent.name
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}


def _imports(source: str, package: str) -> set[str]:
    """The dotted names of all that a file imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            origin = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


def _imported(path: Path) -> set[str]:
    package = ".".join(path.parent.relative_to(HOUSE).parts)
    return _imports(path.read_text(encoding="utf-8"), package)


def _rooms_entered(path: Path) -> set[str]:
    """The rooms of `cnn` that a file imports from; what `cnn` itself holds is no room."""
    inner = (name.split(".")[1] for name in _imported(path) if name.startswith("cnn."))
    return {name for name in inner if not name[0].isupper()}


def _named(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def test_imports_are_read_in_all_their_forms():
    source = (
        "import cnn.models\n"
        "from cnn import strokes\n"
        "from cnn.datasets import MNIST\n"
        "def late():\n"
        "    from . import parts\n"
        "    from ..training import fit\n"
    )
    assert _imports(source, "cnn.page") == {
        "cnn.models",
        "cnn.strokes",
        "cnn.datasets.MNIST",
        "cnn.page.parts",
        "cnn.training.fit",
    }


@pytest.mark.parametrize("path", ROOMS, ids=_named)
def test_every_module_has_a_floor(path):
    assert ROOMS[path] in FLOORS, f"{_named(path)} stands nowhere in the map of cnn/__init__.py"


@pytest.mark.parametrize("room", FLOORS)
def test_every_room_of_the_map_is_there(room):
    assert room in ROOMS.values()


@pytest.mark.parametrize("path", ROOMS, ids=_named)
def test_a_module_imports_only_from_floors_below_its_own(path):
    own = ROOMS[path]
    for room in _rooms_entered(path) - (set() if path.parent == PACKAGE else {own}):
        assert room in FLOORS, f"{_named(path)} imports cnn.{room}, which the map does not know"
        assert FLOORS[room] < FLOORS[own], f"{own} may not import {room}: it is not below"


def test_the_ground_imports_nothing():
    assert _imported(PACKAGE / "__init__.py") == set()


@pytest.mark.parametrize("path", ROOMS, ids=_named)
def test_nothing_imports_the_command_line(path):
    commands = set() if ROOMS[path] in ("__main__", "commands") else {"commands"}
    assert not _rooms_entered(path) & ({"__main__"} | commands)


@pytest.mark.parametrize("path", [path for path in ROOMS if ROOMS[path] != "page"], ids=_named)
def test_only_the_page_knows_gradio(path):
    assert not any(name.split(".")[0].startswith("gradio") for name in _imported(path))


TABS = set((PACKAGE / "page").glob("*.py")) - {PACKAGE / "page" / "whole.py"}


@pytest.mark.parametrize("path", sorted(TABS), ids=_named)
def test_tabs_share_only_their_parts_and_their_visitor(path):
    """A tab may be divided into rooms of its own, named after it: `models_review.py`."""
    entered = {name.split(".")[2] for name in _imported(path) if name.startswith("cnn.page.")}
    shared = {name for name in entered if not name.startswith(f"{path.stem}_")}
    assert shared <= {"parts", "visit"}
    assert path.stem not in {"parts", "visit"} or not entered


def test_the_app_opens_no_room_but_the_page():
    assert _rooms_entered(HOUSE / "app.py") <= {"page"}
