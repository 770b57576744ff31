"""A run that is stopped, runs out of patience or diverges keeps what it learned."""

from dataclasses import replace

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.data.datasets import Split
from cnn.training.finalize import finalize
from cnn.training.loop import fit

NO_LEARNING = replace(learner.BRIEF, optimizer="sgd", learning_rate=1e-9, momentum=0.0)


def test_stopping_keeps_what_was_learned():
    run = learner.start(learner.BRIEF)
    before = learner.weights(run.network)
    for _ in fit(run):
        break
    stopped = finalize(run)
    assert run.step < run.steps
    assert not torch.equal(learner.weights(stopped.network), before)
    weights = learner.weights(run.eval_model)
    assert torch.allclose(learner.weights(stopped.network), weights, rtol=1e-3, atol=1e-6)
    assert 0 <= stopped.card.test_accuracy <= 1


def test_a_run_stopped_early_keeps_its_real_last_figures():
    run = learner.start(replace(learner.BRIEF, epochs=3))
    for progress in fit(run):
        if progress.step > 10:
            break
    card = finalize(run).card
    assert card.interrupted
    assert card.train_loss == progress.train_loss
    assert [row["step"] for row in card.history] == [10, progress.step]
    assert card.history[-1]["validation_accuracy"] == card.validation_accuracy


def test_a_run_ended_by_its_patience_is_not_interrupted():
    few = learner.few()
    wrong = few._replace(validation=Split(few.validation.images, 9 - few.validation.labels))
    run = learner.train(replace(learner.BRIEF, epochs=9, patience=1), wrong)
    assert run.step < run.steps
    assert not finalize(run).card.interrupted


def test_a_stopped_run_can_be_continued_to_its_end():
    run = learner.start(learner.BRIEF)
    for _ in fit(run):
        break
    *_, last = fit(run)
    assert last.step == last.steps == 20


def test_a_divergence_ends_the_run_with_a_remedy():
    growing = {"optimizer": "sgd", "learning_rate": 1_000.0, "weight_decay": 10.0}
    with pytest.raises(UserError, match="(stopped being a number|exploded).*rate below 1000"):
        learner.train(replace(learner.BRIEF, **growing))


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_weights_before_a_divergence_are_kept(ema_decay):
    run = learner.start(replace(learner.BRIEF, epochs=4, ema_decay=ema_decay))
    with pytest.raises(UserError, match="stopped being a number"):
        for progress in fit(run):
            if progress.step == 20:
                finite = learner.weights(run.eval_model)
                with torch.no_grad():
                    run.network.dense1.weight.fill_(torch.nan)
    assert 0 < run.step <= 20
    assert learner.weights(finalize(run).network).isfinite().all()
    if run.step == 20:
        assert torch.equal(learner.weights(run.eval_model), finite)


def test_after_a_divergence_the_history_ends_where_the_kept_weights_do():
    run = learner.start(replace(NO_LEARNING, epochs=4))
    with pytest.raises(UserError, match="stopped being a number"):
        for progress in fit(run):
            with torch.no_grad():
                if progress.step == 10:
                    run.network.dense1.weight.mul_(5)
                if progress.step == 20:
                    run.network.dense1.weight.fill_(torch.nan)
    assert run.step == run.progress.step == run.best.progress.step <= 10
    assert all(row["step"] <= run.step for row in run.history)
    assert finalize(run).card.train_loss == run.best.progress.train_loss


def test_patience_ends_a_run_that_no_longer_improves():
    """With wrong validation labels the loss rises as the network learns."""
    few = learner.few()
    wrong = Split(few.validation.images, (few.validation.labels + 1) % 10)
    run = learner.train(
        replace(learner.BRIEF, epochs=9, patience=2), few._replace(validation=wrong)
    )
    assert len(run.history) == 3


@pytest.mark.parametrize(("keep", "epoch"), [(None, 1), ("best", 1), ("last", 3)])
def test_early_stopping_keeps_the_best_weights_unless_asked_for_the_last(keep, epoch):
    few = learner.few()
    wrong = few._replace(validation=Split(few.validation.images, 9 - few.validation.labels))
    run = learner.start(replace(learner.BRIEF, epochs=9, patience=2, keep=keep), wrong)
    weights = {
        p.epoch: learner.weights(run.network) for p in fit(run) if p.validation_loss is not None
    }
    kept = finalize(run)
    assert torch.allclose(learner.weights(kept.network), weights[epoch], rtol=1e-3, atol=1e-6)
    assert kept.card.config["keep"] == (keep or "best")
    assert kept.card.train_loss == run.history[epoch - 1]["train_loss"]
    assert len(kept.card.history) == 3
