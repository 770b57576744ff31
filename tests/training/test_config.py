"""Recipes are checked, and have a form as flags, as text and as JSON."""

import dataclasses
import json
import sys

import pytest

from cnn import UserError
from cnn.__main__ import parse
from cnn.cli.arguments import GROUPS, recipe_from_arguments
from cnn.data.datasets import DATASETS
from cnn.models.architectures import MODELS
from cnn.training.config import Recipe, for_finetuning, from_dict, parse_field, to_args
from cnn.training.presets import PRESETS, preset

FIELDS = dataclasses.fields(Recipe)


def _within_range(field: dataclasses.Field) -> float:
    """A third of the way from the lowest to the highest number of a field's range."""
    low, high = field.metadata["range"]
    third = low + (high - low) / 3
    return int(third) if "int" in str(field.type) else third


EVERY_FIELD = Recipe(
    dataset="synthetic",
    model="two-conv-dropout",
    optimizer="adamw",
    schedule="cosine-warmup",
    nesterov=False,
    keep="best",
    augmentation=("affine", "erode-dilate"),
    teacher="teacher.safetensors",
    strokes=("unipen_digits",),
    outliers=("cifar100", "more.npz"),
    **{field.name: _within_range(field) for field in FIELDS if field.metadata["range"]},
)


def _from_command_line(*words: str) -> Recipe:
    return recipe_from_arguments(parse(["train", "--output", "one.safetensors", *words]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "imagenet"),
        ("dataset", ""),
        ("model", "alexnet"),
        ("optimizer", "Adam"),
        ("schedule", "cosine "),
        ("augmentation", ("mixup",)),
        ("augmentation", ("affine", "cutout")),
        ("augmentation", ("alternating-flip",)),
        ("epochs", 0),
        ("epochs", -1),
        ("epochs", float("inf")),
        ("epochs", float("nan")),
        ("batch_size", 0),
        ("batch_size", 10**400),
        ("learning_rate", 0.0),
        ("learning_rate", -0.1),
        ("learning_rate", float("nan")),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("norm_bias_lr_scale", -1.0),
        ("warmup_fraction", 1.1),
        ("warmup_fraction", -0.1),
        ("dropout", 1.0),
        ("dropout", -0.5),
        ("extra_synthetic", -1),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("ema_decay", 1.0),
        ("ema_decay", -0.1),
        ("max_grad_norm", -1.0),
        ("max_grad_norm", float("nan")),
        ("patience", -1),
        ("validation_size", 0),
        ("validation_size", -5),
        ("epochs", "many"),
        ("epochs", None),
        ("batch_size", 2.5),
        ("batch_size", True),
        ("augmentation", "affine"),
        ("seed", -1),
        ("seed", 2**64),
    ],
)
def test_an_impossible_value_is_an_error_with_a_remedy(field, value):
    with pytest.raises(UserError) as caught:
        Recipe(**{field: value})
    sentence = str(caught.value)
    named = value[-1] if isinstance(value, tuple) else value
    assert repr(named) in sentence
    assert "Choose" in sentence


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_field_has_a_help_text_and_every_number_a_range(field):
    assert field.metadata["help"]
    is_number = any(kind in str(field.type) for kind in ("int", "float"))
    assert bool(field.metadata["range"]) == is_number


def test_synthetic_digits_cannot_be_added_to_photographs():
    with pytest.raises(UserError, match="CIFAR-10"):
        Recipe(dataset="cifar10", extra_synthetic=100)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("model", MODELS)
def test_every_network_can_be_trained_on_every_data_set(dataset, model):
    assert Recipe(dataset=dataset, model=model).model == model


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_flags_give_the_same_recipe(name):
    recipe = PRESETS[name].recipe
    assert _from_command_line(*to_args(recipe)) == recipe


def test_every_field_has_a_flag():
    at_default = [
        field.name
        for field in dataclasses.fields(Recipe)
        if getattr(EVERY_FIELD, field.name) == field.default
    ]
    assert not at_default
    assert _from_command_line(*to_args(EVERY_FIELD)) == EVERY_FIELD


def test_the_default_recipe_needs_no_flags():
    assert to_args(Recipe()) == []
    assert _from_command_line() == Recipe()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_suffices_on_the_command_line(name):
    assert _from_command_line("--preset", name) == PRESETS[name].recipe


def test_flags_replace_a_presets_values_even_by_the_defaults():
    words = ["--preset", "photos-small", "--epochs", "5", "--augmentation", "none"]
    recipe = _from_command_line(*words, "--teacher", "none", "--validation-size", "none")
    assert recipe == dataclasses.replace(
        PRESETS["photos-small"].recipe,
        epochs=5,
        augmentation=(),
        teacher=None,
        validation_size=None,
    )


def test_flags_replace_the_config_files_values_and_these_the_presets(tmp_path):
    (tmp_path / "recipe.json").write_text('{"epochs": 3, "augmentation": ["affine"], "seed": 7}')
    words = ["--preset", "mnist-99", "--config", str(tmp_path / "recipe.json"), "--seed", "8"]
    expected = dataclasses.replace(
        PRESETS["mnist-99"].recipe, epochs=3, augmentation=("affine",), seed=8
    )
    assert _from_command_line(*words) == expected


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_a_config_file_may_be_toml(tmp_path):
    (tmp_path / "recipe.toml").write_text('epochs = 3\naugmentation = ["affine", "translate-4"]\n')
    recipe = _from_command_line("--config", str(tmp_path / "recipe.toml"))
    assert recipe == Recipe(epochs=3, augmentation=("affine", "translate-4"))


@pytest.mark.parametrize(
    "text", ["", "[1]", "not JSON", '{"colour": 1}', '{"epochs": "many"}', '{"epochs": null}']
)
def test_a_config_file_that_is_not_a_recipe_is_an_error(tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(UserError):
        _from_command_line("--config", str(tmp_path / "recipe.json"))
    with pytest.raises(UserError, match="No such file"):
        _from_command_line("--config", str(tmp_path / "missing.json"))


def test_an_optional_field_is_reset_by_none_and_its_error_says_so():
    assert parse_field("dropout", "none") is None
    assert parse_field("augmentation", "none") == ()
    with pytest.raises(UserError, match="such as none or a number"):
        parse_field("dropout", "much")
    with pytest.raises(UserError, match="such as 5.0"):
        parse_field("epochs", "none")


def test_an_unknown_preset_is_an_error_that_lists_the_known_ones():
    assert preset("digits") is PRESETS["digits"]
    with pytest.raises(UserError, match="'letters'") as caught:
        preset("letters")
    assert all(name in str(caught.value) for name in PRESETS)


def test_fine_tuning_has_a_smaller_learning_rate_and_another_seed():
    recipe = PRESETS["digits"].recipe
    more = for_finetuning(recipe)
    assert more.learning_rate == recipe.learning_rate / 5
    assert more.seed != recipe.seed
    assert dataclasses.replace(more, learning_rate=4e-3, seed=0) == recipe


def test_a_recipe_comes_back_from_its_card():
    written = json.loads(json.dumps(dataclasses.asdict(EVERY_FIELD)))
    assert from_dict(written) == EVERY_FIELD
    with pytest.raises(UserError, match="'colour'"):
        from_dict(written | {"colour": "red"})


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_one_preset_trains_the_default_network_of_a_data_set(dataset):
    defaults = [known for known in PRESETS.values() if known.make_default]
    assert sum(known.recipe.dataset == dataset for known in defaults) == 1


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_network_5_is_trained_as_its_tutorial_says(dataset):
    recipe = PRESETS[f"{dataset}-three-conv-wide"].recipe
    assert (recipe.optimizer, recipe.momentum, recipe.nesterov) == ("sgd", 0.9, False)
    assert (recipe.weight_decay, recipe.schedule, recipe.epochs) == (0.0, "constant", 20)


def test_every_field_is_in_one_group_of_flags():
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(field.name for field in FIELDS)


def test_drawn_digits_cannot_be_added_to_photographs():
    with pytest.raises(UserError, match="Drawn digits cannot be added to CIFAR-10"):
        Recipe(dataset="cifar10", strokes=("unipen_digits",))
