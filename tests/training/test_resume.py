"""A run that was put aside goes on as if nothing had happened."""

import pytest
import torch

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
    schedule="one-cycle",
    augmentation=("warp",),
    average=0.9,
)


@pytest.fixture(scope="module")
def splits():
    train, validation, test = datasets.load(datasets.SYNTHETIC)
    return datasets.Splits(train[:200], validation[:50], test[:50])


def followed(run, epochs=None, aside=None):
    for progress in fit(run):
        if progress.validation_loss is not None:
            if aside:
                save_state(run, aside)
            if progress.epoch == epochs:
                break
    return run


def test_an_interrupted_run_ends_with_the_same_weights_to_the_bit(splits, tmp_path):
    whole = followed(start(RECIPE, splits))
    followed(start(RECIPE, splits), epochs=2, aside=tmp_path / "run")
    torch.manual_seed(99)
    resumed = start(RECIPE, splits)
    load_state(resumed, tmp_path / "run")
    followed(resumed)
    assert resumed.step == whole.step
    assert [epoch["epoch"] for epoch in resumed.history] == [1, 2, 3]
    for network in ("network", "answering"):
        expected = getattr(whole, network).state_dict()
        for name, weights in getattr(resumed, network).state_dict().items():
            assert torch.equal(weights, expected[name]), name


def test_a_run_of_another_recipe_is_not_taken_up(splits, tmp_path):
    followed(start(RECIPE, splits), epochs=1, aside=tmp_path / "run")
    other = start(Recipe(dataset="synthetic", batch_size=20), splits)
    with pytest.raises(UserError, match="differs in .*batch_size"):
        load_state(other, tmp_path / "run")


def test_a_file_that_is_no_run_is_told_so(splits, tmp_path):
    (tmp_path / "run").write_bytes(b"not a run")
    with pytest.raises(UserError, match="'run' is not a run"):
        load_state(start(RECIPE, splits), tmp_path / "run")
