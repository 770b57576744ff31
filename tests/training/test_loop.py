"""A run follows its recipe to the bit and reports how it goes."""

import time
from dataclasses import replace

import pytest
import torch
from support import learner

from cnn.evaluation import inference, metrics
from cnn.models import architectures
from cnn.training.config import OPTIMIZERS
from cnn.training.loop import fit

CHANGES = {
    "dropout": {"model": "two-conv-dropout", "epochs": 1},
    "augmentation": {
        "augmentation": ("affine", "elastic", "erode-dilate", "translate-4"),
        "epochs": 1,
    },
    "ema": {"ema_decay": 0.9, "epochs": 1, "optimizer": "sgd"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_two_identical_runs_give_identical_weights(changes):
    recipe = replace(learner.BRIEF, **changes)
    first = learner.train(recipe).eval_model
    torch.rand(5)
    again = learner.train(recipe).eval_model
    assert torch.equal(learner.weights(first), learner.weights(again))


def test_another_seed_gives_another_network():
    one, other = (learner.train(replace(learner.BRIEF, epochs=0.2, seed=seed)) for seed in (0, 1))
    assert not torch.allclose(
        learner.weights(one.network), learner.weights(other.network), atol=1e-3
    )


@pytest.mark.parametrize("name", architectures.MODELS)
def test_every_network_learns_something_in_a_few_steps(name):
    run = learner.start(replace(learner.BRIEF, model=name, epochs=2, batch_size=60), learner.tiny())
    steps = list(fit(run))
    assert steps[-1].step == steps[-1].steps == 4
    assert steps[-1].train_loss != steps[0].train_loss
    assert learner.weights(run.network).isfinite().all()


def test_every_epoch_begins_its_means_anew(finished):
    _, reports = finished
    ends = [report for report in reports if report.validation_loss is not None]
    losses = [report.train_loss for report in ends]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]


def test_a_report_comes_after_the_first_step_and_at_the_end_of_every_epoch(finished):
    run, reports = finished
    assert reports[0].step == 1
    measured = [report for report in reports if report.validation_loss is not None]
    assert [report.step for report in measured] == [80, 160, 240]
    assert [report.epoch for report in measured] == [1, 2, 3]
    assert [entry["step"] for entry in run.history] == [80, 160, 240]
    assert all(report.steps == 240 for report in reports)


def test_reports_in_between_come_at_most_eight_times_a_second(finished):
    _, reports = finished
    for before, report in zip(reports, reports[1:], strict=False):
        assert report.seconds > before.seconds
        if report.validation_loss is None:
            assert report.seconds - before.seconds >= 1 / 8


def test_validation_is_measured_on_the_network_that_is_kept(finished):
    run, reports = finished
    validation = run.splits.validation
    logits = inference.logits(run.eval_model, validation.images, dtype=run.precision)
    measures = metrics.compute_metrics(logits, validation.labels)
    assert reports[-1].validation_loss == pytest.approx(measures.loss, abs=1e-4)
    assert reports[-1].validation_accuracy == pytest.approx(measures.accuracy)


@pytest.mark.parametrize(("epochs", "steps"), [(2, 20), (0.5, 5), (0.001, 1), (1.25, 12)])
def test_epochs_may_be_fractions(epochs, steps):
    assert learner.start(replace(learner.BRIEF, epochs=epochs)).steps == steps


def test_reading_reports_takes_no_training_time():
    run, idle = learner.start(replace(learner.BRIEF, epochs=0.5)), 0.0
    prepared, started = run.seconds, time.perf_counter()
    for _ in fit(run):
        waiting = time.perf_counter()
        learner.photos(1_000)
        idle += time.perf_counter() - waiting
    assert 0 < run.seconds - prepared <= time.perf_counter() - started - idle


def test_the_gradient_is_clipped_at_its_maximum_norm():
    recipe = replace(
        learner.BRIEF, optimizer="sgd", momentum=0.0, learning_rate=1.0, max_grad_norm=1e-3
    )
    run = learner.start(replace(recipe, batch_size=500, epochs=1))
    before = learner.weights(run.network)
    for _ in fit(run):
        pass
    assert (learner.weights(run.network) - before).norm().item() == pytest.approx(1e-3, rel=0.01)


def test_the_moving_average_follows_the_weights_within_their_range():
    run = learner.start(
        replace(learner.BRIEF, batch_size=100, epochs=8, ema_decay=0.5), learner.tiny()
    )
    visited = [learner.weights(run.network)]
    for _ in fit(run):
        visited.append(learner.weights(run.network))
    seen = torch.stack(visited)
    assert len(seen) == 9
    average = learner.weights(run.eval_model)
    assert (average >= seen.amin(0) - 1e-6).all() and (average <= seen.amax(0) + 1e-6).all()
    distances = (seen - average).norm(dim=1)
    assert distances[-1] > 0
    assert distances.argmin() >= 5, "it has left the beginning behind"


def test_a_run_follows_its_schedule():
    run = learner.start(
        replace(learner.BRIEF, schedule="triangular", batch_size=100, epochs=10), learner.tiny()
    )
    rates = [report.learning_rate / run.recipe.learning_rate for report in fit(run)]
    assert rates == pytest.approx([0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_training_loss(optimizer):
    run = learner.start(replace(learner.BRIEF, optimizer=optimizer, learning_rate=2e-3, epochs=2))
    reports = list(fit(run))
    assert reports[-1].train_loss < reports[0].train_loss
