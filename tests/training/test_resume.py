"""A resumed run ends with the same weights as one that was never interrupted."""

import pytest
import torch
from support import learner

from cnn import UserError
from cnn.data import datasets
from cnn.training.config import Recipe
from cnn.training.loop import fit
from cnn.training.resume import load_state, save_state
from cnn.training.state import start

RECIPE = Recipe(
    dataset="synthetic",
    model="two-conv-dropout",
    epochs=3,
    batch_size=50,
    schedule="cosine-warmup",
    augmentation=("affine",),
    ema_decay=0.9,
    keep="best",
)


@pytest.fixture(scope="module")
def splits():
    train, validation, test = datasets.load(datasets.SYNTHETIC)
    return datasets.Splits(train[:200], validation[:50], test[:50])


def _train(run, epochs=None, path=None):
    for progress in fit(run):
        if progress.validation_loss is not None:
            if path:
                save_state(run, path)
            if progress.epoch == epochs:
                break
    return run


def test_an_interrupted_run_ends_with_the_same_weights_to_the_bit(splits, tmp_path):
    whole = _train(start(RECIPE, splits))
    _train(start(RECIPE, splits), epochs=2, path=tmp_path / "run")
    torch.manual_seed(99)
    resumed = start(RECIPE, splits)
    load_state(resumed, tmp_path / "run")
    _train(resumed)
    assert resumed.step == whole.step
    assert [epoch["epoch"] for epoch in resumed.history] == [1, 2, 3]
    assert resumed.best_epoch.progress.step == whole.best_epoch.progress.step
    for network in ("network", "ema_model"):
        expected = getattr(whole, network).state_dict()
        for name, weights in getattr(resumed, network).state_dict().items():
            assert torch.equal(weights, expected[name]), name


def test_the_state_of_another_recipe_is_an_error(splits, tmp_path):
    _train(start(RECIPE, splits), epochs=1, path=tmp_path / "run")
    other = start(Recipe(dataset="synthetic", batch_size=20), splits)
    with pytest.raises(UserError, match=r"differs in .*batch_size \(50 there, 20 here\)"):
        load_state(other, tmp_path / "run")


@pytest.mark.parametrize("field", ["device", "precision", "deterministic"])
def test_the_state_of_another_device_precision_or_choice_of_algorithms_is_an_error(
    splits, tmp_path, field
):
    state = start(RECIPE, splits, learner.CPU, torch.float32)
    save_state(state, tmp_path / "run")
    content = torch.load(tmp_path / "run")
    torch.save(content | {field: "another"}, tmp_path / "run")
    with pytest.raises(UserError, match=f"differs in {field}"):
        load_state(state, tmp_path / "run")


def test_a_missing_state_is_an_error(splits, tmp_path):
    with pytest.raises(UserError, match="There is no training state"):
        load_state(start(RECIPE, splits), tmp_path / "run")


CHANGES = {
    "without weights": {"network": {}},
    "weights of another network": {"network": {"conv1.weight": torch.zeros(3)}},
    "no average": {"ema_model": None},
    "a number as weights": {"network": 5},
    "an optimizer of nothing": {"optimizer": {}},
    "a generator of text": {"generator": "none"},
    "a step of text": {"step": "three"},
    "a history of numbers": {"history": [1, 2]},
    "an unknown figure": {"history": [{"colour": 1}]},
    "a recipe of text": {"recipe": "fast"},
    "progress of text": {"progress": "much"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_state_with_wrong_content_is_an_error(splits, tmp_path, changes):
    run = start(RECIPE, splits)
    save_state(run, tmp_path / "run")
    torch.save(torch.load(tmp_path / "run") | changes, tmp_path / "run")
    with pytest.raises(UserError, match="not a whole training state"):
        load_state(run, tmp_path / "run")


@pytest.mark.parametrize("content", [b"", b"not a run", b"PK\x03\x04"])
def test_a_file_that_is_not_a_state_is_an_error(splits, tmp_path, content):
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(UserError, match="not a whole training state"):
        load_state(start(RECIPE, splits), tmp_path / "run")


@pytest.mark.parametrize("content", [[1, 2], "text", {"recipe": {}}])
def test_a_file_of_other_tensors_is_an_error(splits, tmp_path, content):
    torch.save(content, tmp_path / "run")
    with pytest.raises(UserError, match="not a whole training state"):
        load_state(start(RECIPE, splits), tmp_path / "run")
