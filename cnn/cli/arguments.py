"""What the commands share: the recipe's flags, tables, JSON lines and checks of paths."""

import argparse
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from cnn import UserError, hardware
from cnn.models import custom
from cnn.models.checkpoints import BUNDLED, Checkpoint
from cnn.training.config import (
    Recipe,
    field_type,
    for_finetuning,
    format_field,
    from_dict,
    parse_field,
)
from cnn.training.presets import PRESETS, Preset, preset

GROUPS = {
    "data": ("dataset", "validation_size", "augmentation", "extra_synthetic", "strokes"),
    "network": ("model", "dropout"),
    "optimization": (
        *("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "warmup_fraction"),
        *(
            "momentum",
            "nesterov",
            "beta1",
            "beta2",
            "weight_decay",
            "norm_bias_lr_scale",
            "max_grad_norm",
        ),
        *("ema_decay", "init_fraction", "patience", "keep", "seed"),
    ),
    "loss": ("label_smoothing", "teacher", "outliers", "outlier_weight"),
}
METAVARS = {int: "N", float: "X", str: "NAME", tuple: "NAME+NAME"}


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the flag for machine-readable output."""
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the folder of checkpoints."""
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=BUNDLED,
        metavar="DIR",
        help="folder of checkpoints (default: the bundled ones)",
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add the flag that allows existing files to be replaced."""
    parser.add_argument("--force", action="store_true", help="replace existing files")


def refuse_existing(paths: Iterable[Path | None], force: bool) -> None:
    """Raise a `UserError` if one of the files to write exists, unless forced, or is a folder."""
    for path in filter(None, paths):
        if path.is_dir():
            raise UserError(f"{str(path)!r} is a folder. Name a file to write.")
        if path.exists() and not force:
            raise UserError(
                f"{str(path)!r} exists already. Name another file, or replace it with --force."
            )


def add_hardware(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the device and the precision."""
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1 or mps (default: the fastest)"
    )
    parser.add_argument(
        "--precision",
        choices=hardware.PRECISIONS,
        help="number format of the network (default: the fastest of the device)",
    )
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="use deterministic algorithms only; a GPU then repeats its results, more slowly",
    )


def device_from_arguments(arguments: argparse.Namespace) -> torch.device:
    """Return the device asked for, or the fastest. One that is not there is a `UserError`."""
    if arguments.deterministic:
        hardware.use_deterministic_algorithms()
    if arguments.device is None:
        return hardware.device()
    try:
        device = torch.device(arguments.device)
        torch.empty(1, device=device)
        return device
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"There is no device {arguments.device!r} on this machine. "
            f"Choose cpu, or leave --device out for {hardware.device()}."
        ) from error


def precision_from_arguments(arguments: argparse.Namespace, device: torch.device) -> torch.dtype:
    """Return the precision asked for, or the fastest one of the device."""
    if arguments.precision is None:
        return hardware.amp_dtype(device)
    return hardware.PRECISIONS[arguments.precision]


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add `--preset`, `--config` and a flag for every field of a recipe, in groups."""
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument(
        "--preset", metavar="NAME", help=f"preset to start from: {', '.join(PRESETS)}"
    )
    recipe.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON or TOML file with the recipe's fields"
    )
    recipe.add_argument(
        "--print-config", action="store_true", help="print the recipe as JSON and exit"
    )
    fields = {field.name: field for field in dataclasses.fields(Recipe)}
    for title, names in GROUPS.items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_field(group, fields[name])


def _add_field(group: argparse._ArgumentGroup, field: dataclasses.Field[Any]) -> None:
    choices = ": " + ", ".join(field.metadata["choices"]) if field.metadata["choices"] else ""
    text = f"{field.metadata['help']}{choices} (default: {format_field(field.default)})"
    if field_type(field.name) is bool:
        options: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
    else:
        parse = _argument_type(functools.partial(parse_field, field.name))
        options = {"type": parse, "metavar": METAVARS[field_type(field.name)]}
    flag = "--" + field.name.replace("_", "-")
    group.add_argument(flag, default=argparse.SUPPRESS, help=text.replace("%", "%%"), **options)


def _argument_type(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Wrap a parser whose `UserError` is to be shown with the usage."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def preset_from_arguments(arguments: argparse.Namespace) -> Preset | None:
    """Return the preset asked for, if any."""
    return preset(arguments.preset) if arguments.preset else None


def recipe_from_arguments(arguments: argparse.Namespace, init: Checkpoint | None = None) -> Recipe:
    """Build the recipe: flags over the config file over the preset over the defaults.

    Without a preset, a checkpoint to start from gives its own recipe, adapted to fine-tuning.
    """
    if chosen := preset_from_arguments(arguments):
        base = chosen.recipe
    elif init:
        base = for_finetuning(from_dict(init.card.config))
    else:
        base = Recipe()
    if arguments.config:
        values = _read_config(arguments.config)
        _load_custom(values)
        base = from_dict(dataclasses.asdict(base) | values)
    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Recipe)
        if hasattr(arguments, field.name)
    }
    _load_custom(given)
    return dataclasses.replace(base, **given)


def _load_custom(values: dict[str, Any]) -> None:
    """Load a network or a data set of one's own that a recipe's fields name."""
    if isinstance(model := values.get("model"), str):
        custom.load_model(model)
    if isinstance(dataset := values.get("dataset"), str):
        custom.load_dataset(dataset)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = _parse_toml(text) if path.suffix == ".toml" else json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"The configuration {str(path)!r} cannot be read ({reason}). "
            "Write one with `python -m cnn train --print-config`."
        ) from error
    return values


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError as error:  # Python 3.10
        raise ValueError("TOML needs Python 3.11; use JSON") from error
    return tomllib.loads(text)


def print_recipe(recipe: Recipe) -> None:
    """Print a recipe as JSON that `--config` reads."""
    print(json.dumps(dataclasses.asdict(recipe), indent=2))


def print_json(line: dict[str, Any]) -> None:
    """Print one JSON object on a line, its numbers without the noise of float32."""
    print(json.dumps(_rounded(line)), flush=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of words under the names of their columns."""
    table = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
