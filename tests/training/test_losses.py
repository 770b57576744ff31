"""What a run minimizes, and the plain cross entropy that it reports."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import learner

from cnn import UserError
from cnn.data.datasets import Split, Splits
from cnn.evaluation import inference, metrics
from cnn.models import checkpoints
from cnn.training.loop import fit

NO_LEARNING = replace(learner.BRIEF, optimizer="sgd", learning_rate=1e-9, momentum=0.0)


def test_loss_and_accuracy_are_means_over_the_whole_epoch():
    """A network that stands still has the same loss wherever in the epoch it is measured.

    48 does not divide 500: the last batch is shorter, and counts for less.
    """
    run = learner.start(replace(NO_LEARNING, batch_size=48, epochs=1))
    *_, last = fit(run)
    train = run.splits.train
    whole = metrics.compute_metrics(inference.logits(run.network, train.images), train.labels)
    assert last.train_loss == pytest.approx(whole.loss, abs=1e-5)
    assert last.train_accuracy == pytest.approx(whole.accuracy)


@pytest.mark.parametrize("option", [{"label_smoothing": 0.3}, {"outliers": ("letters.npz",)}])
def test_the_reported_loss_is_the_plain_cross_entropy_of_the_images(option, outliers):
    run = learner.start(replace(NO_LEARNING, batch_size=500, epochs=1, **option))
    *_, last = fit(run)
    train = run.splits.train
    whole = metrics.compute_metrics(inference.logits(run.network, train.images), train.labels)
    assert last.train_loss == pytest.approx(whole.loss, abs=1e-5)


def test_smoothed_labels_leave_a_network_less_confident():
    def confidence(label_smoothing: float) -> float:
        run = learner.start(replace(learner.BRIEF, epochs=4, label_smoothing=label_smoothing))
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
        run = learner.start(replace(learner.BRIEF, epochs=4, outliers=names))
        list(fit(run))
        return inference.logits(run.network, outliers).softmax(1).amax(1).mean().item()

    assert confidence(("letters.npz",)) < 0.2
    assert confidence(()) > 0.3


def test_a_run_with_outliers_is_repeated_to_the_bit(outliers):
    recipe = replace(learner.BRIEF, epochs=1, outliers=("letters.npz",))
    first, second = learner.start(recipe), learner.start(recipe)
    for run in (first, second):
        list(fit(run))
    weights = zip(
        first.network.state_dict().values(), second.network.state_dict().values(), strict=True
    )
    assert all(torch.equal(*pair) for pair in weights)


@pytest.fixture
def teacher(tmp_path) -> str:
    path = tmp_path / "teacher.safetensors"
    checkpoints.save(path, learner.checkpoint())
    return str(path)


def test_distillation_teaches_what_wrong_labels_hide(teacher):
    train, validation, test = learner.few()
    mislabelled = Splits(Split(train.images, train.labels.roll(1)), validation, test)
    recipe = replace(learner.BRIEF, epochs=6)
    alone, taught = (
        learner.train(replace(recipe, teacher=name), mislabelled).history[-1]["validation_accuracy"]
        for name in (None, teacher)
    )
    assert alone < 0.4 < 0.7 < taught


def test_a_teacher_of_another_data_set_is_an_error(teacher):
    recipe = replace(learner.BRIEF, dataset="cifar10", augmentation=(), teacher=teacher)
    with pytest.raises(UserError, match="cannot teach"):
        learner.start(recipe, learner.photos(60))
