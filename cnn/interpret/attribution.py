"""Which pixels counted: attributions of one picture to one class.

captum hooks the network that it is given, and other visitors use ours, so it gets a copy.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Occlusion
from torch import Tensor, nn

from cnn import UserError

MIN_MAP_SIDE = 7  # pixels: coarser maps do not tell one part of a picture from another
WINDOW, STRIDE = 6, 3
STEPS = 24
BATCH = 64


@dataclass(frozen=True)
class Method:
    """A way to tell which pixels counted, and what its picture means."""

    title: str
    meaning: str
    pitfall: str
    attribute: Callable[[nn.Sequential, Tensor, int, Tensor], Tensor]


def _grad_cam(network: nn.Sequential, image: Tensor, label: int, _: Tensor) -> Tensor:
    layer = dict(network.named_children())[_last_high_resolution_layer(network, image)]
    counted = LayerGradCam(network, layer).attribute(image, label, relu_attributions=True)
    return LayerAttribution.interpolate(counted, image.shape[-2:], "bilinear").sum(1)


@torch.no_grad()
def _last_high_resolution_layer(network: nn.Sequential, image: Tensor) -> str:
    fine = ""
    for name, stage in network.named_children():
        image = stage(image)
        if image.dim() == 4 and min(image.shape[-2:]) >= MIN_MAP_SIDE:
            fine = name
    return fine


def _occlusion(network: nn.Sequential, image: Tensor, label: int, ground: Tensor) -> Tensor:
    window = (image.shape[1], WINDOW, WINDOW)
    return (
        Occlusion(network)
        .attribute(
            image,
            window,
            strides=(image.shape[1], STRIDE, STRIDE),
            baselines=ground,
            target=label,
            perturbations_per_eval=BATCH,
        )
        .mean(1)
    )


def _integrated_gradients(
    network: nn.Sequential, image: Tensor, label: int, ground: Tensor
) -> Tensor:
    counted = IntegratedGradients(network).attribute(
        image, ground, label, n_steps=STEPS, internal_batch_size=BATCH
    )
    return counted.sum(1)


METHODS: dict[str, Method] = {
    "grad-cam": Method(
        "Grad-CAM",
        "Orange lies where the last fine maps speak for the class: each map weighted by how much "
        "the class's logit rises with it.",
        "It is coarse, a few pixels by a few, and shows nothing that speaks against the class.",
        _grad_cam,
    ),
    "occlusion": Method(
        "Occlusion",
        "A small patch is covered at every place in turn: orange where that lowers the class's "
        "logit, blue where it raises it.",
        "A covered picture is one the network never met, and two parts that can stand for "
        "each other both look as if they did not count.",
        _occlusion,
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "The picture fades in from nothing, and each pixel is credited with the change of the "
        "class's logit that it brings: all pixels together sum to the whole change.",
        "What already looks like nothing, black paper in a drawing, can get no credit, though "
        "it matters that a loop is empty.",
        _integrated_gradients,
    ),
}


def attribute(network: nn.Sequential, image: Tensor, method: str, label: int) -> Tensor:
    """How much each pixel of one picture counted for a class, on a copy of the network.

    `image` is float32 (1, C, H, W) in [0, 1], `method` a name among `METHODS`, `label` the
    number of the class. Returns (H, W) float32: positive for, negative against. Nothing is
    black for one channel and the picture's own mean colour for three. Selvaraju et al.,
    "Grad-CAM" (2017); Zeiler and Fergus (2014); Sundararajan et al. (2017); by captum.
    """
    if method not in METHODS:
        raise UserError(f"There is no method called {method!r}. Choose: {', '.join(METHODS)}.")
    own = copy.deepcopy(network).eval()
    image = image.clone()
    if image.shape[1] == 1:
        ground = torch.zeros_like(image)
    else:
        ground = image.mean((2, 3), keepdim=True).expand_as(image)
    with torch.enable_grad():
        counted = METHODS[method].attribute(own, image.requires_grad_(), label, ground)
    return counted[0].detach().float()
