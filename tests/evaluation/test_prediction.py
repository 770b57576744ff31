"""Predictions for one image: ten probabilities in a fixed order, and the verdict."""

from dataclasses import replace

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.data import datasets
from cnn.evaluation import inference, prediction
from cnn.evaluation.prediction import Prediction
from cnn.models import architectures

ABC = Prediction(("a", "b", "c"), (0.2, 0.5, 0.3), "uncertain")


@pytest.fixture(scope="module")
def checkpoint():
    return learner.checkpoint()


@pytest.fixture(scope="module")
def photographer(checkpoint):
    """An untrained network for photographs that finds nothing out of distribution."""
    torch.manual_seed(0)
    card = replace(
        checkpoint.card,
        dataset="cifar10",
        model="two-conv",
        classes=datasets.CIFAR10.classes,
        tta="flip",
        ood_threshold=-1e9,
    )
    network = architectures.build("two-conv", datasets.CIFAR10).eval().requires_grad_(False)
    return checkpoint._replace(network=network, card=card)


def _digits(count: int = 50):
    for image, label in zip(*learner.digits().test[:count], strict=True):
        yield image.unsqueeze(0).float() / 255, label.item()


def test_classes_are_ranked_by_their_probability():
    assert ABC.ranked == [("b", 0.5), ("c", 0.3), ("a", 0.2)]
    assert (ABC.label, ABC.probability) == ("b", 0.5)


def test_probabilities_add_up_to_one_in_the_data_sets_order(checkpoint):
    for image, _ in _digits():
        result = prediction.predict(checkpoint, image)
        assert result.classes == datasets.DIGITS
        assert sum(result.probabilities) == pytest.approx(1, abs=1e-5)
        assert all(0 <= probability <= 1 for probability in result.probabilities)
        assert result.label == result.classes[result.probabilities.index(max(result.probabilities))]


def test_a_trained_network_reads_unseen_digits(checkpoint):
    correct = [
        prediction.predict(checkpoint, image).label == str(label) for image, label in _digits(200)
    ]
    assert sum(correct) >= 190


def test_probabilities_use_the_cards_temperature(checkpoint):
    image, _ = next(_digits())
    warm = checkpoint._replace(card=replace(checkpoint.card, temperature=5.0))
    logits = inference.logits(checkpoint.network, image)[0]
    assert prediction.predict(warm, image).probabilities == pytest.approx(
        (logits / 5).softmax(0).tolist(), abs=1e-5
    )


def test_a_blank_drawing_gets_equal_probabilities(checkpoint):
    result = prediction.predict(checkpoint, torch.zeros(1, 1, 28, 28))
    assert result.verdict == "blank"
    assert result.probabilities == (0.1,) * 10


def test_a_black_photograph_is_not_blank(photographer):
    assert prediction.predict(photographer, torch.zeros(1, 3, 32, 32)).verdict != "blank"


@pytest.mark.parametrize(("temperature", "verdict"), [(0.01, "confident"), (100.0, "uncertain")])
def test_the_verdict_depends_on_the_calibrated_probability(checkpoint, temperature, verdict):
    card = replace(checkpoint.card, temperature=temperature, ood_threshold=-1e9)
    image, _ = next(_digits())
    assert prediction.predict(checkpoint._replace(card=card), image).verdict == verdict


def test_a_score_below_the_cards_threshold_is_out_of_distribution(checkpoint):
    card = replace(checkpoint.card, ood_threshold=1e9)
    image, _ = next(_digits())
    assert (
        prediction.predict(checkpoint._replace(card=card), image).verdict == "out_of_distribution"
    )


def test_few_digits_count_as_out_of_distribution(checkpoint):
    verdicts = [prediction.predict(checkpoint, image).verdict for image, _ in _digits(200)]
    assert verdicts.count("out_of_distribution") <= 30
    assert verdicts.count("confident") >= 150


def test_a_photograph_and_its_mirror_image_get_the_same_prediction(photographer):
    photo = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = (
        prediction.predict(photographer, view).probabilities for view in (photo, photo.flip(-1))
    )
    assert one == pytest.approx(other, abs=1e-5)


def test_several_views_are_averaged_whatever_their_order(photographer):
    photo = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = (
        prediction.predict(photographer, view).probabilities for view in (photo, photo.flip(0))
    )
    assert one == pytest.approx(other, abs=1e-5)
    assert one != pytest.approx(prediction.predict(photographer, photo[:1]).probabilities)


@pytest.mark.parametrize("shape", [(1, 3, 28, 28), (1, 1, 32, 32), (1, 28, 28), (28, 28)], ids=str)
def test_an_image_of_another_shape_is_an_error_that_names_the_right_one(checkpoint, shape):
    with pytest.raises(UserError) as caught:
        prediction.predict(checkpoint, torch.ones(shape))
    assert str(shape) in str(caught.value)
    assert "(views, 1, 28, 28)" in str(caught.value)


def test_comparing_models_gives_their_probabilities_and_the_mean(checkpoint):
    image = learner.digits().test.images[:1] / 255
    hot = checkpoint._replace(card=replace(checkpoint.card, temperature=5.0))
    predictions = prediction.compare_models({"cold": checkpoint, "hot": hot}, image)
    assert list(predictions) == ["cold", "hot", prediction.ENSEMBLE]
    assert predictions["cold"] == prediction.predict(checkpoint, image).probabilities
    for mean, one, other in zip(
        predictions[prediction.ENSEMBLE], predictions["cold"], predictions["hot"], strict=True
    ):
        assert mean == pytest.approx((one + other) / 2)


def test_logits_become_the_probabilities_by_temperature_and_softmax(checkpoint):
    image = learner.digits().test.images[:1] / 255
    expected = (prediction.logits(checkpoint, image) / checkpoint.card.temperature).softmax(0)
    assert prediction.predict(checkpoint, image).probabilities == tuple(expected.tolist())


def test_a_batch_is_predicted_as_its_images_one_by_one(checkpoint):
    images = torch.cat([image for image, _ in _digits(3)] + [torch.zeros(1, 1, 28, 28)])
    batch = prediction.predict_batch(checkpoint, images)
    assert [one.verdict for one in batch][-1] == "blank"
    for image, one in zip(images, batch, strict=True):
        alone = prediction.predict(checkpoint, image[None])
        assert (one.label, one.verdict) == (alone.label, alone.verdict)
        assert one.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_photographs_are_predicted_in_the_number_format_of_the_hardware(
    photographer, checkpoint, monkeypatch
):
    photo = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outputs = {}
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(prediction.hardware, "amp_dtype", lambda _, dtype=dtype: dtype)
        outputs[dtype] = prediction.logits(photographer, photo)
    exact, rounded = outputs.values()
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, atol=0.02)
    drawing = photo[:1, :1, :28, :28]
    expected = inference.logits(checkpoint.network, drawing).mean(0)
    assert torch.equal(prediction.logits(checkpoint, drawing), expected)
