"""Trains, evaluates and uses convolutional networks for small images.

examples:
  python -m cnn train --preset mnist-99 --output digits.safetensors
  python -m cnn predict photograph.png
"""

import argparse
import difflib
import importlib
import os
import re
import sys
from typing import Any, NoReturn

import cnn

COMMANDS = {
    "train": "train a network and save it as a checkpoint",
    "sweep": "compare recipes over values, seeds and folds",
    "evaluate": "evaluate checkpoints on their test sets",
    "models": "list the checkpoints in a folder",
    "predict": "classify images",
    "export": "convert a checkpoint for other programs",
}
INTERRUPTED = 130  # exit code, as shells give it after Ctrl-C


def main(words: list[str] | None = None) -> int:
    """Run a command; return 0 on success, 2 after a `UserError`, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names that cannot be printed
    try:
        arguments = parse(words)
        from cnn import hardware  # imports torch, which `--help` does not need
        from cnn.models import custom

        custom.load_from_settings()
        with hardware.threads(hardware.cpu_count()):
            return arguments.run(arguments) or 0
    except cnn.UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; only the module of the given command is imported."""
    words = sys.argv[1:] if words is None else words
    parser = _Parser(prog="python -m cnn", **_texts(__doc__))
    parser.add_argument("--version", action="version", version=f"cnn {cnn.__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        if name in words[:1]:
            module = importlib.import_module(f"cnn.cli.{name}")
            subparser = subparsers.add_parser(name, help=text, **_texts(module.__doc__))
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
            parser.known += re.findall(r"--[\w-]+", subparser.format_help())
        else:
            subparsers.add_parser(name, help=text)
    return parser.parse_args(words)


def _texts(docstring: str | None) -> dict[str, Any]:
    """Split a module's docstring into description and examples."""
    description, _, examples = (docstring or "").partition("examples:")
    return {
        "description": description.strip(),
        "epilog": f"examples:{examples.rstrip()}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


class _Parser(argparse.ArgumentParser):
    """An argument parser that suggests a word for one that is misspelled."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.known = list(COMMANDS)

    def error(self, message: str) -> NoReturn:
        if match := re.search(r"invalid choice: '(.*?)'|unrecognized arguments: (\S+)", message):
            word = (match[1] or match[2]).partition("=")[0]
            if close := difflib.get_close_matches(word, self.known, 1):
                message = f"{match[0]}. Did you mean {close[0]!r}?"
        super().error(message)


if __name__ == "__main__":
    sys.exit(main())
