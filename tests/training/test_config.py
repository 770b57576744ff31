"""A recipe is checked when it is written, and the command line can say every one of them."""

import dataclasses
import json

import pytest

from cnn import UserError
from cnn.__main__ import parser
from cnn.cli.arguments import recipe_from_arguments
from cnn.data.datasets import DATASETS
from cnn.models.architectures import MODELS
from cnn.training.config import Recipe, for_finetuning, from_dict, to_args
from cnn.training.presets import PRESETS, preset

FIELDS = dataclasses.fields(Recipe)


def _within(field: dataclasses.Field) -> float:
    """A third of the way from the lowest number a field may be to the highest."""
    low, high = field.metadata["within"]
    third = low + (high - low) / 3
    return int(third) if "int" in str(field.type) else third


EVERY_FIELD = Recipe(
    dataset="synthetic",
    model="two-conv-dropout",
    optimizer="adamw",
    schedule="one-cycle",
    augmentation=("warp", "thickness"),
    teacher="teacher.safetensors",
    outliers=("cifar100", "more.npz"),
    outlier_weight=0.7,
    default=True,
    **{field.name: _within(field) for field in FIELDS if field.metadata["within"]},
)


def _from_command_line(*words: str) -> Recipe:
    return recipe_from_arguments(
        parser().parse_args(["train", "--output", "one.safetensors", *words])
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "imagenet"),
        ("dataset", ""),
        ("model", "alexnet"),
        ("optimizer", "Adam"),
        ("schedule", "cosine "),
        ("augmentation", ("mixup",)),
        ("augmentation", ("warp", "cutout")),
        ("augmentation", ("flip",)),
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
        ("norm_rate", -1.0),
        ("warmup", 1.1),
        ("warmup", -0.1),
        ("dropout", 1.0),
        ("dropout", -0.5),
        ("synthetic", -1),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("average", 1.0),
        ("average", -0.1),
        ("clip", -1.0),
        ("clip", float("nan")),
        ("patience", -1),
        ("held_out", 0),
        ("held_out", -5),
        ("seed", -1),
        ("seed", 2**64),
        ("claim", 99.4),
    ],
)
def test_a_value_that_no_run_can_have_is_named_with_what_to_choose(field, value):
    with pytest.raises(UserError) as caught:
        Recipe(**{field: value})
    sentence = str(caught.value)
    named = value[-1] if isinstance(value, tuple) else value
    assert repr(named) in sentence
    assert "Choose" in sentence


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_field_says_what_it_is_and_a_number_how_far_it_goes(field):
    assert field.metadata["help"]
    is_number = any(kind in str(field.type) for kind in ("int", "float"))
    assert bool(field.metadata["within"]) == is_number


def test_synthetic_digits_do_not_join_photographs():
    with pytest.raises(UserError, match="CIFAR-10"):
        Recipe(dataset="cifar10", synthetic=100)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("model", MODELS)
def test_every_network_can_be_trained_on_every_data_set(dataset, model):
    assert Recipe(dataset=dataset, model=model).model == model


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipes_flags_make_the_same_recipe_again(name):
    assert _from_command_line(*to_args(PRESETS[name])) == PRESETS[name]


def test_flags_can_say_every_field():
    at_default = [
        field.name
        for field in dataclasses.fields(Recipe)
        if getattr(EVERY_FIELD, field.name) == field.default
    ]
    assert not at_default
    assert _from_command_line(*to_args(EVERY_FIELD)) == EVERY_FIELD


def test_the_recipe_that_nobody_changed_needs_no_flags():
    assert to_args(Recipe()) == []
    assert _from_command_line() == Recipe()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_suffices_on_the_command_line(name):
    assert _from_command_line("--preset", name) == PRESETS[name]


def test_flags_beside_a_preset_replace_its_values_even_by_the_defaults():
    given = _from_command_line(
        *("--preset", "digits", "--epochs", "5", "--no-default", "--augmentation")
    )
    expected = dataclasses.replace(PRESETS["digits"], epochs=5, default=False, augmentation=())
    assert given == expected


def test_a_preset_is_found_by_its_name_and_others_are_answered_with_those_there_are():
    assert preset("digits") is PRESETS["digits"]
    with pytest.raises(UserError, match="'letters'") as caught:
        preset("letters")
    assert all(name in str(caught.value) for name in PRESETS)


def test_to_go_on_is_to_take_smaller_steps_in_another_order():
    recipe = PRESETS["digits"]
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
def test_one_preset_makes_the_default_network_of_a_data_set(dataset):
    assert sum(one.default and one.dataset == dataset for one in PRESETS.values()) == 1
