"""How weights move: the optimizers, and the course of the learning rate over a run."""

import math

import torch
from torch import nn

from cnn.recipes import Recipe


def optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
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
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return adam(groups, betas=(recipe.momentum, recipe.second_momentum), fused=True)


def rate(recipe: Recipe, share: float) -> float:
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
