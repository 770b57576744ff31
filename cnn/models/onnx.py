"""Export to ONNX, checked against the network it comes from."""

import copy
import importlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cnn import UserError
from cnn.data import datasets
from cnn.files import atomic_write
from cnn.models.card import ModelCard
from cnn.models.checkpoints import Checkpoint

TOLERANCE = 1e-4


def to_onnx(checkpoint: Checkpoint, path: str | Path) -> float:
    """Write the network as ONNX: "images" float32 (N, C, H, W) in [0, 1] -> "logits" (N, classes).

    Its metadata hold what a prediction needs besides: `classes` and `input_range` as JSON,
    `temperature`, `ood_threshold`, `dataset` and `model`. Returns the largest difference between
    its logits in onnxruntime and in torch, on random images in batches of several sizes. A
    missing package, a file that cannot be written and a difference of more than `TOLERANCE` are
    a `UserError`.
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
            f"The logits of {checkpoint.card.model!r} differ in ONNX by {difference:.1g}. "
            "Try another version of onnxruntime."
        )
    with atomic_write(path, "ONNX file") as temporary:
        temporary.write_bytes(written)
    return difference


def _metadata(card: ModelCard) -> dict[str, str]:
    return {
        "classes": json.dumps(card.classes),
        "input_range": json.dumps([0.0, 1.0]),
        "temperature": str(card.temperature),
        "ood_threshold": str(card.ood_threshold),
        "dataset": card.dataset,
        "model": card.model,
    }


class _GlobalMax(nn.Module):
    """`AdaptiveMaxPool2d(1)` in operations that torch's exporter knows."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax((2, 3), keepdim=True)


def _onnx(checkpoint: Checkpoint, images: Tensor) -> bytes:
    network = copy.deepcopy(checkpoint.network)
    for name, layer in checkpoint.network.named_children():
        if isinstance(layer, nn.AdaptiveMaxPool2d):
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
    assert program is not None
    program.model.metadata_props.update(_metadata(checkpoint.card))
    buffer = io.BytesIO()
    program.save(buffer)  # type: ignore[arg-type]  # a file is documented
    return buffer.getvalue()


def _difference(checkpoint: Checkpoint, written: bytes, images: Tensor) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    with torch.inference_mode():
        expected = checkpoint.network(images).numpy()
    return float(np.abs(logits - expected).max())


def _require(*names: str) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"{name} is not installed. Install it: `pip install onnx onnxscript onnxruntime`."
            ) from error
