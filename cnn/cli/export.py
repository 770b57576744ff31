"""`export`: a checkpoint for other programs."""

import argparse
import json
from pathlib import Path

from cnn.cli.arguments import command
from cnn.models import checkpoints, onnx


def add(commands) -> None:
    """Add the command."""
    added = command(commands, "export", _export, "write a checkpoint for other programs")
    added.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    added.add_argument("--format", choices=["onnx"], required=True)
    added.add_argument("--output", type=Path, metavar="FILE", help="by default beside it")


def _export(arguments: argparse.Namespace) -> None:
    path = arguments.output or arguments.checkpoint.with_suffix(f".{arguments.format}")
    difference = onnx.to_onnx(checkpoints.load(arguments.checkpoint), path)
    if arguments.json:
        print(json.dumps({"file": str(path), "difference": difference}))
    else:
        print(f"{path}: its logits differ from torch's by {difference:.1g} at most")
