"""A network as one HTML file: pad, network, bars and feature maps, without a server."""

import base64
from pathlib import Path

import jinja2

from cnn import UserError, files
from cnn.data import datasets, synthetic
from cnn.models.checkpoints import Checkpoint
from cnn.models.web import ASSETS, to_web, worker_script

MARGIN = 0.14  # of the pad, around an example
INITIAL_EXAMPLE = "3"


def write_html(path: str | Path, checkpoint: Checkpoint, name: str) -> None:
    """Write the page of `to_html` to a file, whole or not at all."""
    page = to_html(checkpoint, name)
    with files.atomic_write(path, "page") as file:
        file.write_text(page, encoding="utf-8")


def to_html(checkpoint: Checkpoint, name: str) -> str:
    """Convert a checkpoint to a page on which its network predicts drawings, called `name` there.

    The page asks no server for anything: it works from a disk and without a network. A `UserError`
    says which part of the network browsers cannot compute, or that it does not predict digits.
    """
    dataset = datasets.get_dataset(checkpoint.card.dataset)
    if dataset.classes != datasets.MNIST.classes:
        raise UserError(
            f"A page is for networks that predict digits, and {name!r} is for {dataset.title}. "
            "Export it as ONNX."
        )
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ASSETS), autoescape=True)
    return environment.get_template("export.html").render(
        asset=lambda file: (ASSETS / file).read_text(encoding="utf-8"),
        card=checkpoint.card,
        dataset=dataset,
        examples={digit: _example(int(digit)) for digit in dataset.classes},
        initial_example=INITIAL_EXAMPLE,
        name=name,
        worker_script=worker_script(),
        network=base64.b64encode(to_web(checkpoint, name)).decode(),
    )


def _example(digit: int) -> list[list[list[float]]]:
    """The strokes of an example in the unit square of the pad, with a margin all around."""
    return [
        [[round(MARGIN + (1 - 2 * MARGIN) * value, 4) for value in point] for point in stroke]
        for stroke in synthetic.example(digit)
    ]
