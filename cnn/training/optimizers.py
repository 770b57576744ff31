"""Optimizers and learning rate schedules."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from cnn.training.config import Recipe

MUON_SCALE = 1 / 8  # of the learning rate


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonalised steps for convolutions.

    A convolution's step, as a matrix with a row per filter, is replaced by the nearest
    orthogonal matrix, times an eighth of the learning rate; then the weight is scaled back to
    the norm it started with, so that late steps turn it as far as early ones. All other
    weights follow SGD. After K. Jordan and others, "Muon: an optimizer for hidden layers in
    neural networks", 2024; torch's own takes matrices only.
    """

    def __init__(self, groups: list[dict[str, Any]], momentum: float):
        super().__init__(groups, {"lr": 0.0, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                is_conv, state = weight.ndim == 4, self.state[weight]
                if not state:
                    state.update(mean=torch.zeros_like(weight), norm=weight.norm())
                gradient = weight.grad
                if not is_conv:
                    gradient = gradient.add(weight, alpha=group["weight_decay"])
                mean = state["mean"].mul_(group["momentum"]).add_(gradient)
                step = gradient.add(mean, alpha=group["momentum"])
                if is_conv:
                    step = _orthogonalize(step.flatten(1)).view_as(step)
                    weight.sub_(step, alpha=group["lr"] * MUON_SCALE)
                    weight.mul_(state["norm"] / weight.norm())
                else:
                    weight.sub_(step, alpha=group["lr"])


def _orthogonalize(matrix: Tensor) -> Tensor:
    """Approximate the nearest matrix with orthonormal rows, or columns where these are fewer.

    Five Newton-Schulz steps with Jordan's coefficients bring every singular value to between
    0.7 and 1.2. They multiply the matrix by polynomials of its Gram matrix, which is smaller:
    their product is computed first. Tall matrices are scaled up, as in torch's Muon.
    """
    rows, columns = matrix.shape
    wide = matrix.T if rows > columns else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    gram = wide @ wide.T
    identity = torch.eye(len(gram), device=gram.device)
    product = identity
    for _ in range(5):
        factor = 3.4445 * identity - 4.7750 * gram + 2.0315 * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    result = product @ wide
    return (result.T if rows > columns else result) * max(1, rows / columns) ** 0.5


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimizer for the network's trainable weights.

    Batch norm's biases are a group of their own. Each parameter group holds its maximum
    learning rate under `"max_lr"`.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    biases = [norm.bias for norm in norms]
    separate = set(biases)
    others = [p for p in network.parameters() if p.requires_grad and p not in separate]
    scale = recipe.norm_bias_lr_scale
    groups = [
        {"params": others, "max_lr": recipe.learning_rate, "weight_decay": recipe.weight_decay},
        {
            "params": biases,
            "max_lr": recipe.learning_rate * scale,
            "weight_decay": recipe.weight_decay / max(scale, 1),
        },
    ]
    if recipe.optimizer == "sgd":
        nesterov = recipe.nesterov and recipe.momentum > 0
        return torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=nesterov)
    if recipe.optimizer == "muon":
        return Muon(groups, recipe.momentum)
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return adam(groups, betas=(recipe.beta1, recipe.beta2), fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, fraction: float) -> None:
    """Set every group's learning rate for the point `fraction` in [0, 1] of the run."""
    factor = lr_factor(recipe, fraction)
    for group in optimizer.param_groups:
        group["lr"] = group["max_lr"] * factor


def lr_factor(recipe: Recipe, fraction: float) -> float:
    """Compute the learning rate, relative to its maximum, at `fraction` in [0, 1] of the run.

    A function of the position alone, unlike `torch.optim.lr_scheduler`: a resumed run and
    several processes need no further state. The tests compare it with torch's schedules.
    """
    warmup = recipe.warmup_fraction
    rise = fraction / warmup if fraction < warmup else 1.0
    decay = max(0.0, (fraction - warmup) / (1 - warmup)) if warmup < 1 else 0.0
    if recipe.schedule == "triangular":
        return min(rise, 1 - decay)
    if recipe.schedule == "cosine-warmup":
        if fraction < warmup:
            return max(0.04, (1 - math.cos(math.pi * rise)) / 2)
        return max(1e-4, (1 + math.cos(math.pi * decay)) / 2)
    if recipe.schedule == "cosine":
        return (1 + math.cos(math.pi * fraction)) / 2
    if recipe.schedule == "step":
        return 0.1 ** sum(fraction >= milestone for milestone in (0.5, 0.75))
    return 1.0
