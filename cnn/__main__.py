"""The command line: `python -m cnn train | sweep | evaluate | export | predict | models`."""

import argparse
import os
import sys

import torch

from cnn import UserError, hardware
from cnn.cli import evaluate, export, predict, sweep, train


def main(words: list[str] | None = None) -> int:
    """Do what the words ask; 0 when done, 2 with a sentence on stderr when a person can mend it."""
    arguments = parser().parse_args(words)
    torch.set_num_threads(hardware.cpu_count())
    try:
        arguments.command(arguments)
    except UserError as fault:
        print(fault, file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their flags."""
    whole = argparse.ArgumentParser(prog="python -m cnn", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for room in (train, sweep, evaluate, export, predict):
        room.add(commands)
    return whole


if __name__ == "__main__":
    sys.exit(main())
