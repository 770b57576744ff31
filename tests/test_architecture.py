"""Imports follow the order that the package's own docstring draws."""

import ast
import re
from pathlib import Path

import pytest

import cnn

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnn"


def _places(drawing: str) -> dict[str, tuple[int, int]]:
    """Each module of the map with (line, column) from the bottom; "data.strokes" for a package's.

    A subpackage such as `web.tabs` is one place. A line holds a package and its modules, or one
    module that belongs to no package; an indented line continues the one above.
    """
    drawing = re.sub(r"\n {8,}", " ", drawing)
    lines = [line.split() for line in drawing.splitlines() if line.startswith("    ")]
    places = {}
    for row, (package, *modules) in enumerate(reversed(lines)):
        places[package] = (row, 0)
        for column, module in enumerate(reversed(modules)):
            places[f"{package}.{module}"] = (row, column)
    return places


PLACES = _places(cnn.__doc__)
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _place(module: str) -> str | None:
    """The place in the map that a dotted name below `cnn` belongs to."""
    parts = module.split(".")
    return next((name for name in (".".join(parts[:2]), parts[0]) if name in PLACES), None)


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
    package = ".".join(path.parent.relative_to(ROOT).parts)
    return _imports(path.read_text(encoding="utf-8"), package)


def _imported_modules(path: Path) -> set[str]:
    """The modules below `cnn` that a file imports from, as "data.strokes"."""
    inner = {name.removeprefix("cnn.") for name in _imported(path) if name.startswith("cnn.")}
    return {name for name in inner if not re.match("[A-Z_]", name)}


def _label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_are_read_in_all_their_forms():
    source = (
        "import cnn.models\n"
        "from cnn import files\n"
        "from cnn.data.datasets import MNIST\n"
        "def late():\n"
        "    from . import components\n"
        "    from ..training import loop\n"
    )
    assert _imports(source, "cnn.web") == {
        "cnn.models",
        "cnn.files",
        "cnn.data.datasets.MNIST",
        "cnn.web.components",
        "cnn.training.loop",
    }


@pytest.mark.parametrize("path", MODULES, ids=_label)
def test_every_module_has_a_place_in_the_map(path):
    parts = _dotted(path).split(".")
    expected = ".".join(parts[:2])
    assert expected in PLACES, f"{_label(path)} stands nowhere in the map of cnn/__init__.py"


@pytest.mark.parametrize("place", PLACES)
def test_every_place_of_the_map_exists(place):
    path = PACKAGE / place.replace(".", "/")
    assert path.with_suffix(".py").is_file() or path.is_dir()


@pytest.mark.parametrize("path", MODULES, ids=_label)
def test_a_module_imports_only_from_below(path):
    own = _place(_dotted(path))
    for name in _imported_modules(path):
        place = _place(name)
        assert place, f"{_label(path)} imports cnn.{name}, which the map does not know"
        if place != own or "." not in own:
            assert PLACES[place] < PLACES[own], f"{own} may not import {place}: it is not below"


def test_the_package_itself_imports_nothing():
    assert _imported(PACKAGE / "__init__.py") == set()


@pytest.mark.parametrize("path", MODULES, ids=_label)
def test_only_the_page_imports_gradio(path):
    if not _dotted(path).startswith("web"):
        assert not any(name.split(".")[0].startswith("gradio") for name in _imported(path))


TABS = sorted((PACKAGE / "web" / "tabs").glob("*.py"))


@pytest.mark.parametrize("path", TABS, ids=_label)
def test_a_tab_imports_no_other_tab(path):
    """A tab may be divided into modules that are named after it: `train_results.py`."""
    tab = path.stem.partition("_")[0]
    tabs = {name.split(".")[2] for name in _imported_modules(path) if name.startswith("web.tabs.")}
    assert all(name.startswith(f"{tab}_") for name in tabs)


def test_the_app_imports_nothing_but_the_page():
    assert {name.split(".")[0] for name in _imported_modules(ROOT / "app.py")} <= {"web"}
