"""How weights move: the optimizers, and the course of the learning rate over a run."""

import math

import torch
from torch import Tensor, nn

from cnn import hardware
from cnn.training.config import Recipe

MUON_SCALE = 1 / 8  # of the learning rate


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum; a convolution's step becomes an orthogonal matrix, a row a filter.

    So every direction in which its filters can change gets its share. A convolution turns by an
    eighth of the learning rate and keeps the length that it began with, so that it turns as far
    late in a run as early. All other weights take the steps of SGD. After K. Jordan and others,
    "Muon: an optimizer for hidden layers in neural networks", 2024; torch's own takes matrices
    only.
    """

    def __init__(self, groups: list[dict], momentum: float):
        super().__init__(groups, {"lr": 0.0, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                turns, state = weight.ndim == 4, self.state[weight]
                if not state:
                    state.update(mean=torch.zeros_like(weight), length=weight.norm())
                gradient = weight.grad
                if not turns:
                    gradient = gradient.add(weight, alpha=group["weight_decay"])
                mean = state["mean"].mul_(group["momentum"]).add_(gradient)
                step = gradient.add(mean, alpha=group["momentum"])
                if turns:
                    weight.sub_(
                        _orthogonal(step.flatten(1)).view_as(step), alpha=group["lr"] * MUON_SCALE
                    )
                    weight.mul_(state["length"] / weight.norm())
                else:
                    weight.sub_(step, alpha=group["lr"])


def _orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix whose rows, or columns where these are fewer, are orthonormal.

    Five steps of Newton and Schulz with Jordan's coefficients bring every singular value to
    somewhere between 0.7 and 1.2. Tall matrices get longer steps, as in torch's Muon.
    """
    rows, columns = matrix.shape
    found = matrix.to(hardware.amp_dtype(matrix.device))
    found = found.T if rows > columns else found
    found = found / found.norm().clamp(min=1e-7)
    for _ in range(5):
        square = found @ found.T
        found = 3.4445 * found + (2.0315 * square @ square - 4.7750 * square) @ found
    found = found.T if rows > columns else found
    return found.to(matrix.dtype) * max(1, rows / columns) ** 0.5


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over what the network has to learn.

    Each of its parameter groups holds its own highest learning rate under `"highest"`.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    biases = [norm.bias for norm in norms]
    apart = set(biases)
    others = [p for p in network.parameters() if p.requires_grad and p not in apart]
    groups = [
        {"params": others, "highest": recipe.learning_rate, "weight_decay": recipe.weight_decay},
        {
            "params": biases,
            "highest": recipe.learning_rate * recipe.norm_rate,
            "weight_decay": recipe.weight_decay / max(recipe.norm_rate, 1),
        },
    ]
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=nesterov)
    if recipe.optimizer == "muon":
        return Muon(groups, recipe.momentum)
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return adam(groups, betas=(recipe.momentum, recipe.second_momentum), fused=True)


def lr_factor(recipe: Recipe, share: float) -> float:
    """The learning rate as a share of its highest, after `share` in [0, 1] of the run."""
    rising = share / recipe.warmup if share < recipe.warmup else 1.0
    falling = (share - recipe.warmup) / (1 - recipe.warmup) if recipe.warmup < 1 else 0.0
    falling = max(0.0, falling)
    if recipe.schedule == "linear":
        return min(rising, 1 - falling)
    if recipe.schedule == "one-cycle":
        up, down = (1 - math.cos(math.pi * rising)) / 2, (1 + math.cos(math.pi * falling)) / 2
        return max(0.04, up) if share < recipe.warmup else max(1e-4, down)
    if recipe.schedule == "cosine":
        return (1 + math.cos(math.pi * share)) / 2
    if recipe.schedule == "step":
        return 0.1 ** sum(share >= milestone for milestone in (0.5, 0.75))
    return 1.0
