"""A run in float16 scales its loss, so that small gradients reach the weights."""

from dataclasses import replace

import pytest
import torch
from support import learner

from cnn.training.loop import fit
from cnn.training.resume import load_state, save_state

SGD = replace(learner.BRIEF, optimizer="sgd", momentum=0.0, learning_rate=0.5)


def _step(precision: torch.dtype, **changes) -> torch.Tensor:
    """Return what the first step adds to the weights."""
    run = learner.start(replace(SGD, **changes), precision=precision)
    before = learner.weights(run.network)
    next(fit(run))
    return learner.weights(run.network) - before


@pytest.mark.parametrize("changes", [{}, {"max_grad_norm": 1e-3}], ids=["plain", "clipped"])
def test_a_step_in_float16_is_that_of_float32(changes):
    exact, half = (_step(precision, **changes) for precision in (torch.float32, torch.float16))
    assert (half - exact).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
def test_a_step_that_overflows_is_left_out_and_the_next_are_taken(optimizer):
    run = learner.start(replace(learner.BRIEF, optimizer=optimizer), precision=torch.float16)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, backoff_factor=2.0**-10)
    before, steps = learner.weights(run.network), fit(run)
    next(steps)
    assert torch.equal(learner.weights(run.network), before)
    for _ in steps:
        pass
    after = learner.weights(run.network)
    assert after.isfinite().all() and not torch.equal(after, before)


def test_gradients_too_small_for_float16_reach_the_weights():
    def first_gradient(precision: torch.dtype) -> torch.Tensor:
        run, gradients = learner.start(SGD, precision=precision), []
        with torch.no_grad():
            run.network.dense1.weight.mul_(1e-4)
        run.optimizer.register_step_pre_hook(
            lambda *_: gradients.append(run.network.conv1.weight.grad.clone())
        )
        next(fit(run))
        return gradients[0]

    exact, half = map(first_gradient, (torch.float32, torch.float16))
    assert (half - exact).norm() < 0.1 * exact.norm()


def test_a_run_in_float16_is_resumed_to_the_bit(tmp_path):
    whole = learner.start(learner.BRIEF, precision=torch.float16)
    whole.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    for progress in fit(whole):
        if progress.epoch == 1 and progress.validation_loss is not None:
            save_state(whole, tmp_path / "run")
    resumed = learner.start(learner.BRIEF, precision=torch.float16)
    load_state(resumed, tmp_path / "run")
    for _ in fit(resumed):
        pass
    assert resumed.scaler.get_scale() == whole.scaler.get_scale() < 2**30
    assert torch.equal(learner.weights(resumed.network), learner.weights(whole.network))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_other_formats_do_without_a_scaler(precision):
    assert not learner.start(learner.BRIEF, precision=precision).scaler.is_enabled()
