"""What is said of one picture: ten shares that add up, in a fixed order, and how far to trust."""

from dataclasses import replace

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.data import datasets
from cnn.evaluation import inference, prediction
from cnn.evaluation.prediction import Prediction
from cnn.models import architectures

ABC = Prediction(("a", "b", "c"), (0.2, 0.5, 0.3), "unsure")


@pytest.fixture(scope="module")
def checkpoint():
    return learner.checkpoint()


@pytest.fixture(scope="module")
def photographer(checkpoint):
    """An untaught network for photographs, which finds nothing unfamiliar."""
    torch.manual_seed(0)
    card = replace(
        checkpoint.card,
        dataset="cifar10",
        model="two-conv",
        classes=datasets.CIFAR10.classes,
        threshold=-1e9,
    )
    network = architectures.build("two-conv", datasets.CIFAR10).eval().requires_grad_(False)
    return checkpoint._replace(network=network, card=card)


def _digits(count: int = 50):
    for image, label in zip(*learner.digits().test[:count], strict=True):
        yield image.unsqueeze(0).float() / 255, label.item()


def test_classes_are_ranked_by_their_share():
    assert ABC.ranked == [("b", 0.5), ("c", 0.3), ("a", 0.2)]
    assert (ABC.label, ABC.probability) == ("b", 0.5)


def test_shares_add_up_to_one_and_stand_in_the_data_sets_order(checkpoint):
    for image, _ in _digits():
        answer = prediction.predict(checkpoint, image)
        assert answer.classes == datasets.DIGITS
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
        assert all(0 <= share <= 1 for share in answer.probabilities)
        assert answer.label == answer.classes[answer.probabilities.index(max(answer.probabilities))]


def test_a_taught_network_reads_digits_it_has_not_seen(checkpoint):
    right = [
        prediction.predict(checkpoint, image).label == str(label) for image, label in _digits(200)
    ]
    assert sum(right) >= 190


def test_shares_are_those_of_the_cards_temperature(checkpoint):
    image, _ = next(_digits())
    warm = checkpoint._replace(card=replace(checkpoint.card, temperature=5.0))
    logits = inference.logits(checkpoint.network, image)[0]
    assert prediction.predict(warm, image).probabilities == pytest.approx(
        (logits / 5).softmax(0).tolist(), abs=1e-5
    )


def test_of_an_empty_picture_nothing_is_said(checkpoint):
    answer = prediction.predict(checkpoint, torch.zeros(1, 1, 28, 28))
    assert answer.verdict == "empty"
    assert answer.probabilities == (0.1,) * 10


def test_a_black_photograph_is_not_empty(photographer):
    assert prediction.predict(photographer, torch.zeros(1, 3, 32, 32)).verdict != "empty"


@pytest.mark.parametrize(("temperature", "verdict"), [(0.01, "sure"), (100.0, "unsure")])
def test_sure_is_a_matter_of_the_calibrated_share(checkpoint, temperature, verdict):
    card = replace(checkpoint.card, temperature=temperature, threshold=-1e9)
    image, _ = next(_digits())
    assert prediction.predict(checkpoint._replace(card=card), image).verdict == verdict


def test_what_lies_below_the_cards_threshold_is_unfamiliar(checkpoint):
    card = replace(checkpoint.card, threshold=1e9)
    image, _ = next(_digits())
    assert prediction.predict(checkpoint._replace(card=card), image).verdict == "unfamiliar"


def test_few_digits_are_thought_unfamiliar(checkpoint):
    strange = [prediction.predict(checkpoint, image).verdict for image, _ in _digits(200)]
    assert strange.count("unfamiliar") <= 30
    assert strange.count("sure") >= 150


def test_a_photograph_and_its_mirror_image_get_the_same_answer(photographer):
    photo = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = (
        prediction.predict(photographer, look).probabilities for look in (photo, photo.flip(-1))
    )
    assert one == pytest.approx(other, abs=1e-5)


def test_several_views_are_averaged_whatever_their_order(photographer):
    photo = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = (
        prediction.predict(photographer, look).probabilities for look in (photo, photo.flip(0))
    )
    assert one == pytest.approx(other, abs=1e-5)
    assert one != pytest.approx(prediction.predict(photographer, photo[:1]).probabilities)


@pytest.mark.parametrize("shape", [(1, 3, 28, 28), (1, 1, 32, 32), (1, 28, 28), (28, 28)], ids=str)
def test_a_picture_that_does_not_fit_says_which_does(checkpoint, shape):
    with pytest.raises(UserError) as caught:
        prediction.predict(checkpoint, torch.ones(shape))
    assert str(shape) in str(caught.value)
    assert "(views, 1, 28, 28)" in str(caught.value)


def test_opinions_are_every_networks_shares_and_last_their_mean(checkpoint):
    image = learner.digits().test.images[:1] / 255
    hot = checkpoint._replace(card=replace(checkpoint.card, temperature=5.0))
    found = prediction.compare_models({"cold": checkpoint, "hot": hot}, image)
    assert list(found) == ["cold", "hot", prediction.ENSEMBLE]
    assert found["cold"] == prediction.predict(checkpoint, image).probabilities
    for mean, one, other in zip(
        found[prediction.ENSEMBLE], found["cold"], found["hot"], strict=True
    ):
        assert mean == pytest.approx((one + other) / 2)


def test_logits_become_the_probabilities_by_temperature_and_softmax(checkpoint):
    image = learner.digits().test.images[:1] / 255
    shares = (prediction.logits(checkpoint, image) / checkpoint.card.temperature).softmax(0)
    assert prediction.predict(checkpoint, image).probabilities == tuple(shares.tolist())
