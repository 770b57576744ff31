"""Converts a checkpoint to ONNX, checking its outputs, or to a page that works without a server.

examples:
  python -m cnn export digits.safetensors --format onnx --output model.onnx --json
  python -m cnn export digits.safetensors --format html --output digits.html
"""

import argparse
from pathlib import Path

from cnn.cli import arguments as common
from cnn.models import checkpoints, html, onnx


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--format", choices=["onnx", "html"], required=True)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: beside the checkpoint)"
    )
    common.add_force(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    """Convert the checkpoint and print the file, with the largest difference of an ONNX logit."""
    path = arguments.output or arguments.checkpoint.with_suffix(f".{arguments.format}")
    common.refuse_existing([path], arguments.force)
    checkpoint = checkpoints.load(arguments.checkpoint)
    if arguments.format == "html":
        html.write_html(path, checkpoint, arguments.checkpoint.stem)
        result, text = {}, f"{path}: open it in a browser"
    else:
        difference = onnx.to_onnx(checkpoint, path)
        result = {"difference": difference}
        text = f"{path}: its logits differ from torch's by at most {difference:.1g}"
    if arguments.json:
        common.print_json({"file": str(path), **result})
    else:
        print(text)
