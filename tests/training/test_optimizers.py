"""Optimizers take the right steps, and learning rate schedules have the right shape."""

from dataclasses import replace

import pytest
import torch
from support import learner
from torch import nn
from torch.optim import lr_scheduler

from cnn.training import optimizers
from cnn.training.config import OPTIMIZERS, SCHEDULES, Recipe
from cnn.training.loop import fit
from cnn.training.state import start

MUON = Recipe(optimizer="muon", learning_rate=1.6, momentum=0.6, weight_decay=0.1)


def _stepped(optimizer, rate: float, weight: nn.Parameter, gradients: torch.Tensor) -> torch.Tensor:
    for gradient in gradients:
        weight.grad = gradient.view_as(weight)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    return weight.detach().flatten(1)


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (40, 2, 3, 3)], ids=["wide", "tall"])
def test_a_convolution_takes_a_fraction_of_torchs_own_muon_step_and_keeps_its_norm(shape):
    convolution = nn.Conv2d(shape[1], shape[0], 3, bias=False)
    before = convolution.weight.detach().flatten(1).clone()
    matrix, gradient = nn.Parameter(before.clone()), torch.randn(1, *before.shape)
    optimizer = optimizers.build_optimizer(convolution, MUON)
    ours = _stepped(optimizer, 1.6, convolution.weight, gradient)
    reference = torch.optim.Muon([matrix], momentum=0.6, weight_decay=0.0)
    reference = _stepped(reference, 1.6 * optimizers.MUON_SCALE, matrix, gradient)
    assert torch.allclose(ours, reference * before.norm() / reference.norm(), atol=0.02)
    assert ours.norm().item() == pytest.approx(before.norm().item(), rel=1e-5)


def test_other_weights_take_the_steps_of_nesterov_momentum():
    dense = nn.Linear(4, 3, bias=False)
    matrix = nn.Parameter(dense.weight.detach().clone())
    gradients = torch.randn(3, *matrix.shape)
    ours = _stepped(optimizers.build_optimizer(dense, MUON), 1.6, dense.weight, gradients)
    reference = torch.optim.SGD([matrix], momentum=0.6, nesterov=True, weight_decay=0.1)
    assert torch.allclose(ours, _stepped(reference, 1.6, matrix, gradients), atol=1e-5)


def test_muon_keeps_frozen_weights_and_learns_synthetic_digits():
    recipe = replace(MUON, dataset="synthetic", model="airbench-quick", batch_size=100, epochs=1)
    run = start(replace(recipe, schedule="triangular"), learner.digits(), learner.CPU)
    filters = run.network.whiten.weight.clone()
    *_, last = fit(run)
    assert torch.equal(run.network.whiten.weight, filters)
    assert last.validation_accuracy >= 0.9


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_of_batch_norm_have_their_own_learning_rate_and_the_same_decay(name):
    recipe = Recipe(optimizer=name, learning_rate=0.5, norm_bias_lr_scale=4.0, weight_decay=0.2)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    others, biases = optimizers.build_optimizer(network, recipe).param_groups
    assert biases["params"] == [network[1].bias]
    assert len(others["params"]) == 3
    assert (others["max_lr"], biases["max_lr"]) == (0.5, 2.0)
    assert biases["weight_decay"] * biases["max_lr"] == others["weight_decay"] * 0.5


def test_momentum_is_nesterovs_unless_it_is_turned_off():
    for nesterov in (True, False):
        dense = nn.Linear(4, 3, bias=False)
        matrix = nn.Parameter(dense.weight.detach().clone())
        gradients = torch.randn(3, *matrix.shape)
        recipe = Recipe(optimizer="sgd", momentum=0.6, nesterov=nesterov)
        reference = torch.optim.SGD([matrix], momentum=0.6, nesterov=nesterov)
        ours = _stepped(optimizers.build_optimizer(dense, recipe), 0.5, dense.weight, gradients)
        assert torch.allclose(ours, _stepped(reference, 0.5, matrix, gradients), atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_weight_decay_pulls_weights_towards_zero(name):
    sizes = []
    for decay in (0.0, 0.5):
        dense = nn.Linear(4, 3, bias=False)
        nn.init.ones_(dense.weight)
        recipe = Recipe(optimizer=name, weight_decay=decay)
        gradients = torch.full((3, 12), 1e-3)
        optimizer = optimizers.build_optimizer(dense, recipe)
        sizes.append(_stepped(optimizer, 0.2, dense.weight, gradients).norm())
    assert sizes[1] < sizes[0] - 1e-3


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2, 1.0])
def test_a_learning_rate_stays_between_zero_and_its_maximum(schedule, warmup):
    recipe = Recipe(schedule=schedule, warmup_fraction=warmup)
    rates = [optimizers.lr_factor(recipe, step / 100) for step in range(101)]
    assert min(rates) >= 0 and max(rates) <= 1
    assert max(rates) >= 0.95


def _rates(schedule: str, *fractions: float) -> list[float]:
    return [optimizers.lr_factor(Recipe(schedule=schedule), fraction) for fraction in fractions]


def test_schedules_have_their_shapes():
    assert _rates("constant", 0, 0.5, 1) == [1, 1, 1]
    assert _rates("triangular", 0.1, 0.2, 0.6, 1) == pytest.approx([0.5, 1, 0.5, 0])
    assert _rates("cosine-warmup", 0, 0.1, 0.2, 0.6, 1) == pytest.approx([0.04, 0.5, 1, 0.5, 1e-4])
    assert _rates("cosine", 0, 0.5, 1) == pytest.approx([1, 0.5, 0])
    assert _rates("step", 0.49, 0.5, 0.75) == pytest.approx([1, 0.1, 0.01])


REFERENCES = {
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=100),
    "step": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, milestones=[50, 75]),
    "triangular": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, 1e-9, 1.0, total_iters=20),
            lr_scheduler.LinearLR(optimizer, 1.0, 1e-9, total_iters=80),
        ],
        milestones=[20],
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_schedules_agree_with_torchs_own(name):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = REFERENCES[name](optimizer)
    for step in range(101):
        expected = optimizer.param_groups[0]["lr"]
        assert _rates(name, step / 100) == [pytest.approx(expected, abs=1e-6)], step
        optimizer.step()
        reference.step()
