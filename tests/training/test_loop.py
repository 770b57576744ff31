"""A run follows its recipe, learns from the training images only, and keeps its best weights."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import learner

from cnn import UserError
from cnn.__main__ import parse
from cnn.cli.arguments import recipe_from_arguments
from cnn.data import datasets
from cnn.data.datasets import Split, Splits
from cnn.evaluation import inference, metrics
from cnn.models import architectures, checkpoints
from cnn.training.config import OPTIMIZERS, Recipe, for_finetuning, from_dict
from cnn.training.finalize import finalize
from cnn.training.loop import _batch, fit
from cnn.training.state import TrainState, start

NO_LEARNING = replace(learner.BRIEF, optimizer="sgd", learning_rate=1e-9, momentum=0.0)


def _start(recipe: Recipe, splits: Splits | None = None) -> TrainState:
    return start(recipe, splits or learner.few(), learner.CPU, torch.float32)


def _train(recipe: Recipe, splits: Splits | None = None) -> TrainState:
    run = _start(recipe, splits)
    for _ in fit(run):
        pass
    return run


def _weights(network) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])


def _tiny() -> Splits:
    return Splits(*(part[:100] for part in learner.few()))


def _photos(count: int = 20) -> Splits:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, 32, 32)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return Splits(*[Split(images, torch.arange(count) % 10)] * 3)


@pytest.fixture(scope="module")
def finished():
    return learner.finished()


@pytest.fixture(scope="module")
def checkpoint():
    return learner.checkpoint()


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
    first = _train(recipe).eval_model
    torch.rand(5)
    again = _train(recipe).eval_model
    assert torch.equal(_weights(first), _weights(again))


def test_another_seed_gives_another_network():
    one, other = (_train(replace(learner.BRIEF, epochs=0.2, seed=seed)) for seed in (0, 1))
    assert not torch.allclose(_weights(one.network), _weights(other.network), atol=1e-3)


@pytest.mark.parametrize("name", architectures.MODELS)
def test_every_network_learns_something_in_a_few_steps(name):
    run = _start(replace(learner.BRIEF, model=name, epochs=2, batch_size=60), _tiny())
    steps = list(fit(run))
    assert steps[-1].step == steps[-1].steps == 4
    assert steps[-1].train_loss != steps[0].train_loss
    assert _weights(run.network).isfinite().all()


def test_a_short_run_learns_synthetic_digits(checkpoint):
    assert checkpoint.card.test_accuracy >= 0.97
    assert checkpoint.card.validation_accuracy >= 0.95
    assert checkpoint.card.ece <= 0.05


def test_loss_and_accuracy_are_means_over_the_whole_epoch():
    """A network that stands still has the same loss wherever in the epoch it is measured.

    48 does not divide 500: the last batch is shorter, and counts for less.
    """
    run = _start(replace(NO_LEARNING, batch_size=48, epochs=1))
    *_, last = fit(run)
    train = run.splits.train
    whole = metrics.compute_metrics(inference.logits(run.network, train.images), train.labels)
    assert last.train_loss == pytest.approx(whole.loss, abs=1e-5)
    assert last.train_accuracy == pytest.approx(whole.accuracy)


@pytest.mark.parametrize("option", [{"label_smoothing": 0.3}, {"outliers": ("letters.npz",)}])
def test_the_reported_loss_is_the_plain_cross_entropy_of_the_images(option, outliers):
    run = _start(replace(NO_LEARNING, batch_size=500, epochs=1, **option))
    *_, last = fit(run)
    train = run.splits.train
    whole = metrics.compute_metrics(inference.logits(run.network, train.images), train.labels)
    assert last.train_loss == pytest.approx(whole.loss, abs=1e-5)


def test_smoothed_labels_leave_a_network_less_confident():
    def confidence(label_smoothing: float) -> float:
        run = _start(replace(learner.BRIEF, epochs=4, label_smoothing=label_smoothing))
        list(fit(run))
        logits = inference.logits(run.network, run.splits.train.images)
        return logits.softmax(1).amax(1).mean().item()

    assert confidence(0.5) < confidence(0.0) - 0.1


@pytest.fixture
def outliers(tmp_path, monkeypatch):
    """A folder with letters.npz, 200 upright bars, which are no digits."""
    images = np.zeros((200, 1, 28, 28), np.uint8)
    for number, image in enumerate(images):
        image[0, :, number % 28] = 255
    np.savez(tmp_path / "letters.npz", images=images)
    monkeypatch.chdir(tmp_path)
    return torch.from_numpy(images)


def test_a_network_that_has_seen_outliers_is_unsure_about_them(outliers):
    def confidence(names: tuple[str, ...]) -> float:
        run = _start(replace(learner.BRIEF, epochs=4, outliers=names))
        list(fit(run))
        return inference.logits(run.network, outliers).softmax(1).amax(1).mean().item()

    assert confidence(("letters.npz",)) < 0.2
    assert confidence(()) > 0.3


def test_a_run_with_outliers_is_repeated_to_the_bit(outliers):
    recipe = replace(learner.BRIEF, epochs=1, outliers=("letters.npz",))
    first, second = _start(recipe), _start(recipe)
    for run in (first, second):
        list(fit(run))
    weights = zip(
        first.network.state_dict().values(), second.network.state_dict().values(), strict=True
    )
    assert all(torch.equal(*pair) for pair in weights)


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
    assert _start(replace(learner.BRIEF, epochs=epochs)).steps == steps


def test_reading_reports_takes_no_training_time():
    run, idle = _start(replace(learner.BRIEF, epochs=0.5)), 0.0
    prepared, started = run.seconds, time.perf_counter()
    for _ in fit(run):
        waiting = time.perf_counter()
        _photos(1_000)
        idle += time.perf_counter() - waiting
    assert 0 < run.seconds - prepared <= time.perf_counter() - started - idle


def test_stopping_keeps_what_was_learned():
    run = _start(learner.BRIEF)
    before = _weights(run.network)
    for _ in fit(run):
        break
    stopped = finalize(run)
    assert run.step < run.steps
    assert not torch.equal(_weights(stopped.network), before)
    weights = _weights(run.eval_model)
    assert torch.allclose(_weights(stopped.network), weights, rtol=1e-3, atol=1e-6)
    assert 0 <= stopped.card.test_accuracy <= 1


def test_a_run_stopped_early_keeps_its_real_last_figures():
    run = _start(replace(learner.BRIEF, epochs=3))
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
    run = _train(replace(learner.BRIEF, epochs=9, patience=1), wrong)
    assert run.step < run.steps
    assert not finalize(run).card.interrupted


def test_a_stopped_run_can_be_continued_to_its_end():
    run = _start(learner.BRIEF)
    for _ in fit(run):
        break
    *_, last = fit(run)
    assert last.step == last.steps == 20


def test_validation_and_test_images_do_not_influence_the_weights():
    few = learner.few()
    upset = [Split(255 - part.images, (part.labels + 1) % 10) for part in few[1:]]
    recipe = replace(learner.BRIEF, epochs=1)
    one, other = (_train(recipe, splits) for splits in (few, Splits(few.train, *upset)))
    assert torch.equal(_weights(one.eval_model), _weights(other.eval_model))
    assert one.history[-1]["validation_loss"] != other.history[-1]["validation_loss"]


def test_temperature_and_threshold_are_not_fitted_on_the_test_set(checkpoint):
    run, _ = learner.finished()
    test = run.splits.test
    splits = run.splits._replace(test=Split(255 - test.images, test.labels))
    card = finalize(replace(run, splits=splits)).card
    assert card.temperature == checkpoint.card.temperature
    assert card.ood_threshold == checkpoint.card.ood_threshold
    assert card.test_accuracy < checkpoint.card.test_accuracy


def test_a_checkpoint_does_not_share_weights_with_its_run():
    run = _train(replace(learner.BRIEF, epochs=0.2))
    network = finalize(run).network
    kept = _weights(network)
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.zero_()
    assert torch.equal(_weights(network), kept)
    assert all(parameter.requires_grad for parameter in run.network.parameters())


def test_fine_tuning_starts_from_the_checkpoint_and_improves_on_it():
    run, origin = _start(learner.BRIEF), None
    for _ in fit(run):
        pass
    origin = finalize(run)
    before = _weights(origin.network)
    recipe = replace(for_finetuning(learner.BRIEF), epochs=1)
    more = start(recipe, learner.few(), learner.CPU, init=origin)
    assert torch.equal(_weights(more.network), before)
    *_, last = fit(more)
    assert last.train_loss < run.history[-1]["train_loss"]
    assert torch.equal(_weights(origin.network), before), "the finished network stays as it was"
    card = finalize(more).card
    assert card.train_seconds == origin.card.train_seconds + more.seconds
    earlier, later = card.command.split(" && ")
    assert earlier == origin.card.command.replace(".safetensors", "-1.safetensors")
    assert later.endswith(f"--init-from {earlier.split()[-1]}")
    assert card.history[:-1] == origin.card.history
    assert card.history[-1]["epoch"] == len(card.history)
    assert card.history[-1]["seconds"] == pytest.approx(card.train_seconds)


def test_fine_tuned_weights_are_averaged_with_the_initial_ones():
    origin = finalize(_start(learner.BRIEF))
    recipe = replace(for_finetuning(learner.BRIEF), epochs=1, init_fraction=0.25)
    run = start(recipe, learner.few(), learner.CPU, init=origin)
    for _ in fit(run):
        pass
    learned = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    for name, tensor in finalize(run).network.state_dict().items():
        expected = 0.75 * learned[name] + 0.25 * origin.network.state_dict()[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4)
    assert for_finetuning(recipe).init_fraction == 0


def test_an_average_with_initial_weights_needs_a_checkpoint_to_start_from():
    with pytest.raises(UserError, match="no initial weights to average with"):
        _start(replace(learner.BRIEF, init_fraction=0.5))


def test_fine_tuning_keeps_the_whitening_filters():
    recipe = Recipe(dataset="cifar10", model="airbench-quick", batch_size=20)
    origin = finalize(_start(recipe, _photos()))
    more = start(recipe, _photos(40), learner.CPU, init=origin)
    assert torch.equal(more.network.whiten.weight, origin.network.whiten.weight)


def test_starting_from_weights_of_another_network_is_an_error():
    origin = finalize(_start(learner.BRIEF))
    with pytest.raises(UserError, match="'two-conv'.* do not fit 'three-conv'"):
        start(learner.RECIPE, learner.few(), learner.CPU, init=origin)


def test_the_card_says_how_the_network_was_trained(finished, checkpoint):
    run, reports = finished
    card = checkpoint.card
    assert from_dict(card.config) == replace(learner.RECIPE, keep="last")
    assert card.parameters == architectures.count_parameters(checkpoint.network)
    assert card.train_seconds == run.seconds == reports[-1].seconds
    assert card.train_loss == reports[-1].train_loss
    assert card.classes == datasets.SYNTHETIC.classes
    assert card.test_accuracy_tta is None
    assert len(card.history) == 3
    words = card.command.removeprefix("python -m cnn ").split()
    assert recipe_from_arguments(parse(words)) == learner.RECIPE


def test_the_card_has_the_accuracy_with_augmentation_where_flips_keep_the_class():
    run = _start(Recipe(dataset="cifar10", model="two-conv", batch_size=20), _photos())
    assert 0 <= finalize(run).card.test_accuracy_tta <= 1


def test_a_batch_larger_than_the_training_set_is_an_error():
    with pytest.raises(UserError, match="501 .* 500 training images"):
        _start(replace(learner.BRIEF, batch_size=501))


def test_synthetic_digits_are_added_to_the_training_images_only():
    run = _start(replace(learner.BRIEF, dataset="mnist", extra_synthetic=40))
    few = learner.few()
    assert len(run.splits.train) == 540
    assert torch.equal(run.splits.train.images[:500], few.train.images)
    assert torch.equal(run.splits.validation.images, few.validation.images)
    assert torch.equal(run.splits.test.images, few.test.images)


def test_drawn_digits_are_added_to_training_and_held_out_ones_to_validation(tmp_path):
    points = np.array([[0, 0], [0, 90], [30, 40]] * 20, np.int16)
    starts = np.arange(20) * 3
    np.savez(
        tmp_path / "a.npz",
        points=points,
        stroke_start=starts,
        sample_start=np.arange(20),
        labels=np.array(list("1234567890" * 2)),
    )
    run = _start(replace(learner.BRIEF, dataset="mnist", strokes=(str(tmp_path / "a.npz"),)))
    few = learner.few()
    assert len(run.splits.train) == 500 + 2 * 18
    assert run.splits.validation.labels.tolist()[-2:] == [9, 0]
    assert len(run.splits.validation) == len(few.validation) + 2
    assert torch.equal(run.splits.test.images, few.test.images)


def test_an_image_is_flipped_in_every_other_epoch():
    recipe = Recipe(
        dataset="cifar10", model="two-conv", batch_size=20, augmentation=("alternating-flip",)
    )
    run = _start(recipe, _photos())
    everything = torch.arange(20)
    first, second, third = (_batch(run, everything, epoch)[0] for epoch in range(3))
    assert torch.equal(second, first.flip(-1))
    assert torch.equal(third, first)
    mirrored = (first != run.splits.train.images.float() / 255).flatten(1).any(1)
    assert 0 < mirrored.sum() < 20


def test_a_divergence_ends_the_run_with_a_remedy():
    growing = {"optimizer": "sgd", "learning_rate": 1_000.0, "weight_decay": 10.0}
    with pytest.raises(UserError, match="(stopped being a number|exploded).*rate below 1000"):
        _train(replace(learner.BRIEF, **growing))


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_weights_before_a_divergence_are_kept(ema_decay):
    run = _start(replace(learner.BRIEF, epochs=4, ema_decay=ema_decay))
    with pytest.raises(UserError, match="stopped being a number"):
        for progress in fit(run):
            if progress.step == 20:
                finite = _weights(run.eval_model)
                with torch.no_grad():
                    run.network.dense1.weight.fill_(torch.nan)
    assert 0 < run.step <= 20
    assert _weights(finalize(run).network).isfinite().all()
    if run.step == 20:
        assert torch.equal(_weights(run.eval_model), finite)


def test_after_a_divergence_the_history_ends_where_the_kept_weights_do():
    run = _start(replace(NO_LEARNING, epochs=4))
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


def test_the_gradient_is_clipped_at_its_maximum_norm():
    recipe = replace(
        learner.BRIEF, optimizer="sgd", momentum=0.0, learning_rate=1.0, max_grad_norm=1e-3
    )
    run = _start(replace(recipe, batch_size=500, epochs=1))
    before = _weights(run.network)
    for _ in fit(run):
        pass
    assert (_weights(run.network) - before).norm().item() == pytest.approx(1e-3, rel=0.01)


def test_patience_ends_a_run_that_no_longer_improves():
    """With wrong validation labels the loss rises as the network learns."""
    few = learner.few()
    wrong = Split(few.validation.images, (few.validation.labels + 1) % 10)
    run = _train(replace(learner.BRIEF, epochs=9, patience=2), few._replace(validation=wrong))
    assert len(run.history) == 3


@pytest.mark.parametrize(("keep", "epoch"), [(None, 1), ("best", 1), ("last", 3)])
def test_early_stopping_keeps_the_best_weights_unless_asked_for_the_last(keep, epoch):
    few = learner.few()
    wrong = few._replace(validation=Split(few.validation.images, 9 - few.validation.labels))
    run = _start(replace(learner.BRIEF, epochs=9, patience=2, keep=keep), wrong)
    weights = {p.epoch: _weights(run.network) for p in fit(run) if p.validation_loss is not None}
    kept = finalize(run)
    assert torch.allclose(_weights(kept.network), weights[epoch], rtol=1e-3, atol=1e-6)
    assert kept.card.config["keep"] == (keep or "best")
    assert kept.card.train_loss == run.history[epoch - 1]["train_loss"]
    assert len(kept.card.history) == 3


def test_without_ema_the_network_itself_is_kept():
    run = _start(learner.BRIEF)
    assert run.eval_model is run.network


def test_the_moving_average_follows_the_weights_within_their_range():
    run = _start(replace(learner.BRIEF, batch_size=100, epochs=8, ema_decay=0.5), _tiny())
    visited = [_weights(run.network)]
    for _ in fit(run):
        visited.append(_weights(run.network))
    seen = torch.stack(visited)
    assert len(seen) == 9
    average = _weights(run.eval_model)
    assert (average >= seen.amin(0) - 1e-6).all() and (average <= seen.amax(0) + 1e-6).all()
    distances = (seen - average).norm(dim=1)
    assert distances[-1] > 0
    assert distances.argmin() >= 5, "it has left the beginning behind"


def test_a_run_follows_its_schedule():
    run = _start(replace(learner.BRIEF, schedule="triangular", batch_size=100, epochs=10), _tiny())
    rates = [report.learning_rate / run.recipe.learning_rate for report in fit(run)]
    assert rates == pytest.approx([0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_training_loss(optimizer):
    run = _start(replace(learner.BRIEF, optimizer=optimizer, learning_rate=2e-3, epochs=2))
    reports = list(fit(run))
    assert reports[-1].train_loss < reports[0].train_loss


@pytest.fixture
def teacher(checkpoint, tmp_path) -> str:
    path = tmp_path / "teacher.safetensors"
    checkpoints.save(path, checkpoint)
    return str(path)


def test_distillation_teaches_what_wrong_labels_hide(teacher):
    train, validation, test = learner.few()
    mislabelled = Splits(Split(train.images, train.labels.roll(1)), validation, test)
    recipe = replace(learner.BRIEF, epochs=6)
    alone, taught = (
        _train(replace(recipe, teacher=name), mislabelled).history[-1]["validation_accuracy"]
        for name in (None, teacher)
    )
    assert alone < 0.4 < 0.7 < taught


def test_a_teacher_of_another_data_set_is_an_error(teacher):
    recipe = replace(learner.BRIEF, dataset="cifar10", augmentation=(), teacher=teacher)
    with pytest.raises(UserError, match="cannot teach"):
        _start(recipe, _photos(60))
