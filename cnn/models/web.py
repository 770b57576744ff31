"""Networks for browsers: a checkpoint as one small file that assets/inference.js computes with.

The file is "CNN1", the length of the header in bytes (uint32), the header (JSON, filled with
spaces to an even length), and the weights of each layer in turn (float16), all little endian.
Batch norm keeps its four vectors, so that each activation is there to be looked at: a scale and a
shift per channel cost a browser a hundredth of the convolutions.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cnn import UserError
from cnn.data import datasets
from cnn.models.checkpoints import Checkpoint
from cnn.models.layers import Normalize, Residual, Scale, ToColor32

ASSETS = Path(__file__).parents[2] / "assets"
WORKER_FILES = ("rasterize.js", "network_file.js", "inference.js")
MAGIC = b"CNN1"
OOD_SCORES = ("energy",)  # that inference.js computes


def worker_script() -> str:
    """Return the program of the Web Worker that computes with such a file."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in WORKER_FILES)


def to_web(checkpoint: Checkpoint, name: str) -> bytes:
    """Convert a checkpoint to the bytes of a network for browsers, called `name` in its header.

    The header holds what a prediction needs besides weights: classes, temperature and the score
    and threshold that decide whether an image is out of distribution. A `UserError` names what
    browsers cannot compute: a layer, a score, test-time augmentation, or weights beyond float16.
    """
    card = checkpoint.card
    dataset = datasets.get_dataset(card.dataset)
    if dataset.input != "strokes" or card.tta != "none" or card.ood_score not in OOD_SCORES:
        raise UserError(
            f"Browsers cannot compute the predictions of {name!r}: its input is a {dataset.input}, "
            f"its test-time augmentation {card.tta!r} and its score {card.ood_score!r}. "
            "Choose a network for drawings without augmentation."
        )
    weights: list[Tensor] = []
    header = {
        "name": name,
        "input": [dataset.channels, dataset.size, dataset.size],
        "classes": card.classes,
        "temperature": card.temperature,
        "ood": {"score": card.ood_score, "threshold": card.ood_threshold},
        "layers": list(_layers(checkpoint.network, weights)),
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (len(text) % 2)
    halves = [tensor.detach().half() for tensor in weights]
    if not all(half.isfinite().all() for half in halves):
        raise UserError(f"Weights of {name!r} lie beyond half precision. Train it again.")
    arrays = (half.numpy().astype("<f2").tobytes() for half in halves)
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *arrays])


def _layers(network: nn.Sequential, weights: list[Tensor]) -> Iterator[dict[str, Any]]:
    """Describe each layer of a network, and append its weights to `weights`."""
    for name, layer in network.named_children():
        yield {"name": name, **_layer(layer, weights)}


def _layer(layer: nn.Module, weights: list[Tensor]) -> dict[str, Any]:
    match layer:
        case Normalize():
            mean, std = (values.flatten().tolist() for values in (layer.mean, layer.std))
            return {"type": "normalize", "mean": mean, "std": std}
        case nn.Conv2d() if _is_plain(layer):
            _append_matrix(layer, weights)
            return {
                "type": "conv",
                "filters": layer.out_channels,
                "kernel": layer.kernel_size[0],
                "stride": layer.stride[0],
                "padding": layer.padding[0],
                "bias": layer.bias is not None,
            }
        case nn.BatchNorm2d(track_running_stats=True, affine=True):
            state = layer.state_dict()
            weights += [state[name] for name in ("weight", "bias", "running_mean", "running_var")]
            return {"type": "batch_norm", "epsilon": layer.eps}
        case nn.Linear():
            _append_matrix(layer, weights)
            return {"type": "dense", "units": layer.out_features, "bias": layer.bias is not None}
        case nn.MaxPool2d(padding=0, dilation=1, ceil_mode=False):
            return {"type": "max_pool", "kernel": layer.kernel_size, "stride": layer.stride}
        case nn.AdaptiveAvgPool2d(output_size=1):
            return {"type": "global_mean"}
        case nn.AdaptiveMaxPool2d(output_size=1):
            return {"type": "global_max"}
        case nn.GELU(approximate="none"):
            return {"type": "gelu"}
        case nn.ReLU():
            return {"type": "relu"}
        case nn.Flatten(start_dim=1, end_dim=-1):
            return {"type": "flatten"}
        case nn.Dropout() | nn.Identity():
            return {"type": "identity"}
        case Scale():
            return {"type": "scale", "factor": layer.factor}
        case ToColor32():
            return {"type": "to_color", "size": 32}
        case Residual():
            main = list(_layers(layer.main, weights))
            return {
                "type": "residual",
                "main": main,
                "shortcut": list(_layers(layer.shortcut, weights)),
            }
        case nn.Sequential():
            return {"type": "sequential", "layers": list(_layers(layer, weights))}
    raise UserError(f"Browsers cannot compute the layer {layer}. Choose a network without it.")


def _is_plain(layer: nn.Conv2d) -> bool:
    """Whether a convolution is square, and neither grouped nor dilated nor padded otherwise."""
    return (
        len({layer.kernel_size[0], layer.kernel_size[1]}) == 1
        and layer.stride[0] == layer.stride[1]
        and isinstance(layer.padding, tuple)
        and layer.padding[0] == layer.padding[1]
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
    )


def _append_matrix(layer: nn.Conv2d | nn.Linear, weights: list[Tensor]) -> None:
    weights.append(layer.weight)
    if layer.bias is not None:
        weights.append(layer.bias)
