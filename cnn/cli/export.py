"""Converts a checkpoint for other programs, and checks that its outputs stay the same.

examples:
  python -m cnn export digits.safetensors --format onnx
  python -m cnn export digits.safetensors --format onnx --output model.onnx --json
"""

import argparse
from pathlib import Path

from cnn.cli import arguments as common
from cnn.models import checkpoints, onnx


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--format", choices=["onnx"], required=True)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: beside the checkpoint)"
    )
    common.add_force(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    """Convert the checkpoint and print the largest difference of a logit."""
    path = arguments.output or arguments.checkpoint.with_suffix(f".{arguments.format}")
    common.refuse_existing([path], arguments.force)
    difference = onnx.to_onnx(checkpoints.load(arguments.checkpoint), path)
    if arguments.json:
        common.print_json({"file": str(path), "difference": difference})
    else:
        print(f"{path}: its logits differ from torch's by at most {difference:.1g}")
