"""Measures whose right values can be worked out by hand."""

import math

import pytest
import torch
from support.learner import CPU
from torch import nn

from cnn.data.datasets import CIFAR10, MNIST
from cnn.evaluation import inference, metrics
from cnn.models import architectures


def _certain(predictions: list[int], classes: int = 3) -> torch.Tensor:
    """Logits that leave no doubt about each guess."""
    return nn.functional.one_hot(torch.tensor(predictions), classes).float() * 100


def test_accuracy_and_recall_are_fractions_of_correct_predictions():
    result = metrics.compute_metrics(_certain([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 2, 2, 0]))
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.recall == pytest.approx((1 / 2, 1 / 2, 1))


def test_uniform_predictions_have_the_loss_log_of_the_number_of_classes():
    result = metrics.compute_metrics(torch.zeros(4, 10), torch.tensor([0, 1, 2, 3]))
    assert result.loss == pytest.approx(math.log(10))


def test_the_loss_is_the_mean_over_the_images():
    logits = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]).log()
    result = metrics.compute_metrics(logits, torch.tensor([0, 0, 1]))
    assert result.loss == pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.5)) / 3)


def test_a_temperature_changes_the_loss_and_never_the_accuracy():
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 10
    plain, warm = (metrics.compute_metrics(logits, labels, t) for t in (1.0, 3.0))
    assert warm.accuracy == plain.accuracy
    assert warm.loss == pytest.approx(metrics.compute_metrics(logits / 3, labels).loss)
    assert warm.loss != pytest.approx(plain.loss)


def test_the_calibration_error_of_a_case_made_by_hand():
    """Four logits of 0.9, of which half are right, and four of 0.6, all right.

    The gaps are 0.4 and 0.4, each with half the weight.
    """
    probabilities = torch.tensor([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4)
    labels = torch.tensor([0, 0, 1, 1, 0, 0, 0, 0])
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx(0.4, abs=1e-6)


def test_too_much_and_too_little_confidence_in_one_bin_cancel():
    probabilities = torch.tensor([[0.75, 0.25]] * 4)
    labels = torch.tensor([0, 0, 0, 1])
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-6)


def test_confident_and_correct_is_calibrated_and_confident_and_wrong_is_not():
    probabilities = _certain([0, 1, 2]).softmax(1)
    assert metrics.expected_calibration_error(probabilities, torch.tensor([0, 1, 2])) == 0
    assert metrics.expected_calibration_error(probabilities, torch.tensor([1, 2, 0])) == 1


@pytest.mark.parametrize("scaling", [0.5, 1.0, 2.5])
def test_the_temperature_recovers_a_known_scaling(scaling):
    """Labels drawn from the probabilities that logits state: those logits are calibrated."""
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(4_000, 10, generator=generator) * 2
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator).squeeze(1)
    found = metrics.fit_temperature(honest * scaling, labels)
    assert found == pytest.approx(scaling, rel=0.06)


def test_the_temperature_stays_in_its_range_if_every_prediction_is_correct():
    assert 0.1 <= metrics.fit_temperature(_certain([0, 1, 2]), torch.tensor([0, 1, 2])) <= 10


def test_flip_and_translate_make_six_views():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    views = inference.tta_views(images, "flip+translate")
    assert len(views) == 6
    assert torch.equal(views[0], images)
    assert torch.equal(views[1][..., 1:, 1:], images[..., :-1, :-1])
    assert torch.equal(views[2][..., :-1, :-1], images[..., 1:, 1:])
    for view, mirror in zip(views[:3], views[3:], strict=True):
        assert view.shape == images.shape
        assert torch.equal(view.flip(-1), mirror)


def test_digits_have_a_single_view():
    images = torch.rand(2, 1, 28, 28)
    (only,) = inference.tta_views(images, inference.tta_mode(MNIST))
    assert torch.equal(only, images)


def test_tta_averages_the_logits_of_the_views():
    torch.manual_seed(0)
    network = architectures.build("two-conv", CIFAR10)
    images = torch.rand(3, 3, 32, 32)
    averaged, mirrored = (
        inference.logits(network, kind, "flip+translate") for kind in (images, images.flip(-1))
    )
    plain = inference.logits(network, images)
    assert not torch.allclose(plain, averaged, atol=1e-4)
    views = inference.tta_views(images, "flip+translate")
    expected = torch.stack([inference.logits(network, view) for view in views]).mean(0)
    assert torch.allclose(averaged, expected, atol=1e-5)
    assert averaged.shape == mirrored.shape


def test_uint8_and_float_images_have_the_same_logits():
    torch.manual_seed(0)
    network = architectures.build("two-conv", MNIST)
    images = torch.randint(0, 256, (4, 1, 28, 28)).byte()
    before = images.clone()
    logits = inference.logits(network, images)
    assert torch.allclose(logits, inference.logits(network, images.float() / 255), atol=1e-5)
    assert torch.equal(images, before)


def test_more_images_than_a_batch_keep_their_order():
    torch.manual_seed(0)
    network = architectures.build("two-conv", MNIST)
    images = torch.randint(0, 256, (inference.BATCH + 3, 1, 28, 28)).byte()
    logits = inference.logits(network, images)
    assert logits.shape == (inference.BATCH + 3, 10)
    assert torch.allclose(logits[-2:], inference.logits(network, images[-2:]), atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_logits_use_no_dropout_and_leave_the_networks_mode(training):
    torch.manual_seed(0)
    network = architectures.build("two-conv-dropout", MNIST).train(training)
    images = torch.rand(2, 1, 28, 28)
    first, again = (inference.logits(network, images) for _ in range(2))
    assert torch.equal(first, again)
    assert network.training is training


def test_bfloat16_logits_are_near_the_exact_ones_and_float32():
    torch.manual_seed(0)
    network = architectures.build("two-conv", MNIST)
    images = torch.rand(20, 1, 28, 28)
    exact, quick = (
        inference.logits(network, images, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)
    )
    assert quick.dtype == exact.dtype == torch.float32
    assert torch.allclose(exact, quick, atol=0.02)


def test_large_logits_have_a_high_energy_score():
    logits = torch.tensor([[9.0, 0.0], [1.0, 0.0]])
    known, ood = metrics.energy_score(logits).tolist()
    assert known > ood
    assert ood == pytest.approx(math.log(math.e + 1))


def test_images_become_floats_with_channels_last_in_memory():
    images = torch.tensor([0, 51, 255]).byte().view(3, 1, 1, 1).expand(3, 3, 4, 4)
    shares = inference.to_float(images, CPU)
    assert shares.is_contiguous(memory_format=torch.channels_last)
    assert shares[:, 0, 0, 0].tolist() == pytest.approx([0, 0.2, 1])


def test_auroc_equals_the_count_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    in_dist = torch.randint(2, 8, (40,), generator=generator).float()
    ood = torch.randint(0, 6, (30,), generator=generator).float()
    pairs = in_dist.unsqueeze(1) - ood
    counted = ((pairs > 0).double() + (pairs == 0).double() / 2).mean().item()
    assert metrics.auroc(in_dist, ood) == pytest.approx(counted)


def test_auroc_is_one_for_separate_and_a_half_for_equal_scores():
    assert metrics.auroc(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0, 2.5])) == 1
    assert metrics.auroc(torch.tensor([1.0, 2.0]), torch.tensor([3.0])) == 0
    assert metrics.auroc(torch.ones(5), torch.ones(3)) == 0.5
