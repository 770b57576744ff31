"""What the commands share: how one is added, and how words become a recipe."""

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cnn.models.checkpoints import BUNDLED, Checkpoint
from cnn.training.config import Recipe, field_type, for_finetuning, from_dict
from cnn.training.presets import PRESETS, preset


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
        "--checkpoints", type=Path, default=BUNDLED, metavar="DIR", help="where they lie"
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add `--preset` and a flag for every field of a recipe."""
    parser.add_argument("--preset", help=f"a recipe to start from: {', '.join(PRESETS)}")
    for field in dataclasses.fields(Recipe):
        choices = ": " + ", ".join(field.metadata["choices"]) if field.metadata["choices"] else ""
        text = f"{field.metadata['help']}{choices} (default: {field.default})".replace("%", "%%")
        kind = field_type(field.name)
        if kind is bool:
            options = {"action": argparse.BooleanOptionalAction}
        elif kind is tuple:
            options = {"nargs": "*", "metavar": "NAME"}
        else:
            options = {"type": kind, "metavar": kind.__name__.upper()}
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, default=argparse.SUPPRESS, help=text, **options)


def recipe_from_arguments(
    arguments: argparse.Namespace, origin: Checkpoint | None = None
) -> Recipe:
    """The recipe that the words ask for; of a network to go on from, its own in smaller steps."""
    given = {
        field.name: _as_tuple(getattr(arguments, field.name))
        for field in dataclasses.fields(Recipe)
        if hasattr(arguments, field.name)
    }
    if arguments.preset:
        start = preset(arguments.preset)
    elif origin:
        start = for_finetuning(from_dict(origin.card.recipe))
    else:
        start = Recipe()
    return dataclasses.replace(start, **given)


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of words under the names of their columns."""
    table = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
