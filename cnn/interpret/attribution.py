"""Attribution (saliency): which pixels of an image speak for a class.

Networks are used as they are, without hooks: other visitors compute with them at the same time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cnn import UserError
from cnn.interpret.layers import activations

MIN_MAP_SIDE = 7  # pixels: coarser maps do not tell one part of an image from another
WINDOW, STRIDE = 6, 3  # pixels, of occlusion
STEPS = 24  # of integrated gradients
BATCH = 64


@dataclass(frozen=True)
class Method:
    """An attribution method, what its colors mean, and when it misleads."""

    title: str
    meaning: str
    pitfall: str
    attribute: Callable[[nn.Sequential, Tensor, Tensor, Tensor], Tensor]


@torch.enable_grad()
def _grad_cam(network: nn.Sequential, image: Tensor, labels: Tensor, _: Tensor) -> Tensor:
    """Weight the last fine maps by the mean gradient of the class's logit; keep what is positive.

    Selvaraju et al., "Grad-CAM" (2017).
    """
    maps = image
    for step in activations(network, image.clone().requires_grad_()):
        values = step.output
        if values.dim() == 4 and min(values.shape[-2:]) >= MIN_MAP_SIDE:
            maps = values
    weighted = []
    for label in labels:
        (gradient,) = torch.autograd.grad(values[0, label], maps, retain_graph=True)
        weighted.append((maps * gradient.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu())
    return functional.interpolate(torch.cat(weighted), image.shape[-2:], mode="bilinear")[:, 0]


@torch.no_grad()
def _occlusion(network: nn.Sequential, image: Tensor, labels: Tensor, baseline: Tensor) -> Tensor:
    """Average, over the windows that cover a pixel, how much covering them lowers the logit.

    Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014).
    """
    height, width = image.shape[-2:]
    corners = [
        (row, column)
        for row in range(0, height - WINDOW + STRIDE, STRIDE)
        for column in range(0, width - WINDOW + STRIDE, STRIDE)
    ]
    masks = torch.zeros(len(corners), 1, height, width, dtype=torch.bool)
    for mask, (row, column) in zip(masks, corners, strict=True):
        mask[:, row : row + WINDOW, column : column + WINDOW] = True
    covered = [torch.where(mask, baseline, image) for mask in masks.split(BATCH)]
    logits = torch.cat([network(batch) for batch in covered])
    drops = network(image)[:, labels] - logits[:, labels]
    windows = masks[:, 0].float()
    return torch.einsum("wl,whv->lhv", drops, windows) / windows.sum(0)


@torch.enable_grad()
def _integrated_gradients(
    network: nn.Sequential, image: Tensor, labels: Tensor, baseline: Tensor
) -> Tensor:
    """Integrate the logit's gradient from the baseline to the image, by Gauss and Legendre.

    Sundararajan et al., "Axiomatic attribution for deep networks" (2017).
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(STEPS)
    fractions = torch.tensor((nodes + 1) / 2, dtype=torch.float32).view(-1, 1, 1, 1)
    weights = torch.tensor(node_weights / 2, dtype=torch.float32).view(-1, 1, 1, 1)
    path = (baseline + fractions * (image - baseline)).requires_grad_()
    logits = network(path)
    attributions = []
    for label in labels:
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), path, retain_graph=True)
        attributions.append(((gradient * weights).sum(0) * (image - baseline)[0]).sum(0))
    return torch.stack(attributions)


METHODS: dict[str, Method] = {
    "grad-cam": Method(
        "Grad-CAM",
        "Orange lies where the last fine maps speak for the class: each map is weighted by how "
        "much the class's logit rises with it.",
        "It is coarse, a few pixels by a few, and shows nothing that speaks against the class.",
        _grad_cam,
    ),
    "occlusion": Method(
        "Occlusion",
        "A small patch is covered at every position in turn: orange where that lowers the class's "
        "logit, blue where it raises it.",
        "The network has never seen a covered image, and of two parts that can stand for each "
        "other neither seems to matter.",
        _occlusion,
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "The image fades in from nothing, and each pixel is credited with the change of the "
        "class's logit that it brings: all pixels together sum to the whole change.",
        "What already looks like nothing, the black background of a drawing, can get no credit, "
        "though it matters that a loop is empty.",
        _integrated_gradients,
    ),
}


def attribute(network: nn.Sequential, image: Tensor, method: str, label: int) -> Tensor:
    """Compute how much each pixel of an image speaks for one class: (H, W); see below."""
    return attribute_classes(network, image, method, [label])[0]


def attribute_classes(
    network: nn.Sequential, image: Tensor, method: str, labels: Sequence[int]
) -> Tensor:
    """Compute how much each pixel of an image speaks for each of several classes.

    `image` is float32 (1, C, H, W) in [0, 1], `method` a name in `METHODS`, `labels` are indices
    of classes. Returns (labels, H, W) float32: positive for, negative against. The baseline is
    black for one channel, and the image's mean color for three.
    """
    if method not in METHODS:
        raise UserError(f"There is no method called {method!r}. Choose: {', '.join(METHODS)}.")
    baseline = torch.zeros_like(image)
    if image.shape[1] > 1:
        baseline += image.mean((2, 3), keepdim=True)
    with torch.inference_mode(False):
        inputs = [x.clone(memory_format=torch.channels_last) for x in (image, baseline)]
        result = METHODS[method].attribute(network, inputs[0], torch.tensor([*labels]), inputs[1])
    return result.detach().float()
