"""What the commands share: how one is added, and how words become a recipe."""

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cnn import recipes
from cnn.checkpoints import SHIPPED, Checkpoint
from cnn.recipes import PRESETS, Recipe


def command(
    commands, name: str, action: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    """Add a command that does `action`; every one knows `--json`."""
    added = commands.add_parser(name, help=text, description=text)
    added.add_argument("--json", action="store_true", help="print one JSON object a line")
    added.set_defaults(command=action)
    return added


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the flag that says where the checkpoints lie."""
    parser.add_argument(
        "--checkpoints", type=Path, default=SHIPPED, metavar="DIR", help="where they lie"
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add `--preset` and a flag for every field of a recipe."""
    parser.add_argument("--preset", help=f"a recipe to start from: {', '.join(PRESETS)}")
    for field in dataclasses.fields(Recipe):
        choices = ": " + ", ".join(field.metadata["choices"]) if field.metadata["choices"] else ""
        text = f"{field.metadata['help']}{choices} (default: {field.default})".replace("%", "%%")
        kind = recipes.kind(field.name)
        if kind is bool:
            options = {"action": argparse.BooleanOptionalAction}
        elif kind is tuple:
            options = {"nargs": "*", "metavar": "NAME"}
        else:
            options = {"type": kind, "metavar": kind.__name__.upper()}
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, default=argparse.SUPPRESS, help=text, **options)


def recipe(arguments: argparse.Namespace, origin: Checkpoint | None = None) -> Recipe:
    """The recipe that the words ask for; of a network to go on from, its own in smaller steps."""
    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Recipe)
        if hasattr(arguments, field.name)
    }
    if "augmentation" in given:
        given["augmentation"] = tuple(given["augmentation"])
    if arguments.preset:
        start = recipes.preset(arguments.preset)
    elif origin:
        start = recipes.continued(recipes.remembered(origin.card.recipe))
    else:
        start = Recipe()
    return dataclasses.replace(start, **given)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of words under the names of their columns."""
    table = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
