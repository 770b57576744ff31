"""A trained network for other programs: ONNX, checked against the network it comes from."""

import copy
import importlib
import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cnn import UserError
from cnn.data import datasets
from cnn.models.checkpoints import Checkpoint

TOLERANCE = 1e-4


def to_onnx(checkpoint: Checkpoint, path: str | Path) -> float:
    """Write the network as ONNX: "images" float32 (N, C, H, W) in [0, 1] -> "logits" (N, classes).

    Returns the largest difference between its logits in onnxruntime and in torch, of pictures
    at random in batches of other sizes. A `UserError` says what is not installed, that the
    place cannot be written, or that the two differ by more than `TOLERANCE`.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    dataset = datasets.get_dataset(checkpoint.card.dataset)
    generator = torch.Generator().manual_seed(0)
    shape = (8, dataset.channels, dataset.size, dataset.size)
    images = torch.rand(shape, generator=generator)
    written = _onnx(checkpoint, images)
    difference = max(_difference(checkpoint, written, images[:count]) for count in (1, 3, 8))
    if not difference <= TOLERANCE:
        raise UserError(
            f"In ONNX {checkpoint.card.model!r} answers otherwise, by {difference:.1g}. "
            "Try another version of onnxruntime."
        )
    try:
        Path(path).write_bytes(written)
    except OSError as fault:
        raise UserError(
            f"{str(path)!r} cannot be written ({fault}). Choose another place."
        ) from fault
    return difference


class _GlobalMax(nn.Module):
    """What `AdaptiveMaxPool2d(1)` does, in words that torch's exporter knows."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax((2, 3), keepdim=True)


def _onnx(checkpoint: Checkpoint, images: Tensor) -> bytes:
    network = copy.deepcopy(checkpoint.network)
    for name, stage in checkpoint.network.named_children():
        if isinstance(stage, nn.AdaptiveMaxPool2d):
            network.set_submodule(name, _GlobalMax())
    program = torch.onnx.export(
        network,
        (images,),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("count")},),
        dynamo=True,
        verbose=False,
    )
    buffer = io.BytesIO()
    program.save(buffer)
    return buffer.getvalue()


def _difference(checkpoint: Checkpoint, written: bytes, images: Tensor) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    (answers,) = session.run(["logits"], {"images": images.numpy()})
    with torch.inference_mode():
        expected = checkpoint.network(images).numpy()
    return float(np.abs(answers - expected).max())


def _require(*names: str) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as fault:
            raise UserError(
                f"{name} is not installed. Install it: `pip install onnx onnxscript onnxruntime`."
            ) from fault
