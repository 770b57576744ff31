"""The configuration of a training run: `Recipe`, and its fields as text, flags and JSON."""

import functools
from collections.abc import Collection
from dataclasses import Field, dataclass, field, fields, replace
from types import NoneType, UnionType
from typing import Any, get_origin, get_type_hints

from cnn import UserError
from cnn.data.augmentation import AUGMENTATIONS
from cnn.data.datasets import DATASETS, Dataset, get_dataset
from cnn.models.architectures import MODELS

OPTIMIZERS = ("adam", "adamw", "sgd", "muon")
SCHEDULES = ("constant", "triangular", "cosine-warmup", "cosine", "step")
KEEP = ("last", "best")  # of the last step, or of the epoch with the lowest validation loss
FLIP = "alternating-flip"
NONE = "none"  # as text: an optional field without a value, and an empty list


def _field(
    default: Any, text: str, *, choices: Collection[str] = (), range: tuple[float, ...] = ()
) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices, "range": range})


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training run.

    The same recipe on the same device in the same precision gives the same weights, to the bit.
    Each field's metadata holds its `help`, the `choices` of a name, and the lowest and the
    highest number of its `range`. A value outside of them is a `UserError`.
    """

    dataset: str = _field("mnist", "training data", choices=DATASETS)
    model: str = _field("three-conv-norm", "network architecture", choices=MODELS)
    epochs: float = _field(
        5.0, "passes over the training images; may be a fraction", range=(0.001, 10_000)
    )
    batch_size: int = _field(128, "images per step", range=(1, 100_000))
    optimizer: str = _field("adam", "optimizer", choices=OPTIMIZERS)
    learning_rate: float = _field(
        1e-3, "learning rate; its maximum where a schedule changes it", range=(1e-9, 1_000)
    )
    momentum: float = _field(0.9, "momentum of SGD and Muon", range=(0, 0.9999))
    nesterov: bool = _field(True, "Nesterov momentum for SGD")
    beta1: float = _field(0.9, "Adam's decay of the mean gradient", range=(0, 0.9999))
    beta2: float = _field(0.999, "Adam's decay of the mean squared gradient", range=(0, 0.999999))
    weight_decay: float = _field(0.0, "L2 penalty; decoupled for AdamW", range=(0, 10))
    norm_bias_lr_scale: float = _field(
        1.0, "learning rate of batch norm's biases, relative to the others", range=(0, 1_000)
    )
    schedule: str = _field("constant", "learning rate schedule", choices=SCHEDULES)
    warmup_fraction: float = _field(
        0.2, "fraction of the run with a rising rate (triangular, cosine-warmup)", range=(0, 1)
    )
    dropout: float | None = _field(
        None, "dropout rate; none for the network's own", range=(0, 0.99)
    )
    augmentation: tuple[str, ...] = _field(
        (), "random changes to each image, in this order", choices=(FLIP, *AUGMENTATIONS)
    )
    extra_synthetic: int = _field(
        0, "synthetic digits added to the training images", range=(0, 1_000_000)
    )
    strokes: tuple[str, ...] = _field(
        (), "pen strokes of digits added to the training images: unipen_digits, .npz files"
    )
    label_smoothing: float = _field(
        0.0, "probability spread evenly over all classes in each label", range=(0, 0.99)
    )
    teacher: str | None = _field(
        None, "teacher checkpoint for knowledge distillation: a file or a bundled network's name"
    )
    outliers: tuple[str, ...] = _field(
        (),
        "out-of-distribution images to learn equal probabilities for: cifar100, "
        "synthetic_symbols, unipen_letters, unipen_symbols, quickdraw, omniglot, .npz files",
    )
    outlier_weight: float = _field(0.5, "weight of the outliers' loss", range=(0, 100))
    ema_decay: float = _field(
        0.0, "decay per step of the exponential moving average of the weights", range=(0, 0.99999)
    )
    max_grad_norm: float = _field(
        0.0, "clip the norm of the gradient at this value; 0 turns clipping off", range=(0, 1e9)
    )
    patience: int = _field(
        0, "epochs without a lower validation loss before stopping; 0 never stops", range=(0, 10**4)
    )
    keep: str | None = _field(
        None, "weights to keep; none for the best with patience, else the last", choices=KEEP
    )
    init_fraction: float = _field(
        0.0, "fraction of the initial weights in the final ones, in fine-tuning", range=(0, 1)
    )
    validation_size: int | None = _field(
        None, "training images held out; none for a tenth, at most 5,000", range=(1, 1_000_000)
    )
    seed: int = _field(0, "seed of all random numbers", range=(0, 2**63 - 1))

    @property
    def kept_weights(self) -> str:
        """Which weights the run keeps: "last" or "best"."""
        return self.keep or ("best" if self.patience else "last")

    def __post_init__(self) -> None:
        dataset = get_dataset(self.dataset)
        for item in fields(self):
            value = getattr(self, item.name)
            if not _has_type(item.name, value):
                expected = field_type(item.name).__name__
                raise UserError(f"{item.name} cannot be {value!r}. Choose a valid {expected}.")
            _check(item, value, dataset)
        if self.extra_synthetic and dataset.input != "strokes":
            raise UserError(
                f"Synthetic digits cannot be added to {dataset.title}. Leave extra_synthetic at 0."
            )
        if self.strokes and dataset.input != "strokes":
            raise UserError(
                f"Drawn digits cannot be added to {dataset.title}. Leave strokes empty."
            )


def _has_type(name: str, value: Any) -> bool:
    if value is None:
        return is_optional(name)
    if isinstance(value, tuple):
        return field_type(name) is tuple and all(isinstance(word, str) for word in value)
    if field_type(name) is float:
        return type(value) in (int, float)
    return type(value) is field_type(name)


def _check(item: Field[Any], value: Any, dataset: Dataset) -> None:
    """Raise a `UserError` for a name that is not a choice and a number out of range."""
    choices, range, name = item.metadata["choices"], item.metadata["range"], item.name
    if name == "augmentation":
        name, choices = f"augmentation for {dataset.title}", dataset.augmentations
    name = name.replace("_", " ")
    for word in value if isinstance(value, tuple) else (value,):
        if choices and word is not None and word not in choices:
            raise UserError(f"There is no {name} {word!r}. Choose one of: {', '.join(choices)}.")
    if isinstance(value, tuple) and len(set(value)) < len(value):
        raise UserError(f"The {name} names something twice. Name each once.")
    if range and value is not None and not range[0] <= value <= range[1]:
        raise UserError(f"The {name} cannot be {value}. Choose from {range[0]:g} to {range[1]:g}.")


@functools.cache
def field_type(name: str) -> type:
    """The type of a field's value: str, int, float, bool or tuple."""
    hint = get_type_hints(Recipe)[name]
    if isinstance(hint, UnionType):
        hint = hint.__args__[0]
    return get_origin(hint) or hint


@functools.cache
def is_optional(name: str) -> bool:
    """Whether a field may be None."""
    return NoneType in getattr(get_type_hints(Recipe)[name], "__args__", ())


def parse_field(name: str, text: str) -> Any:
    """Convert text to a field's value: "affine+erode-dilate" is two names, "none" no value.

    An unknown field and a text of the wrong type are a `UserError`.
    """
    names = [item.name for item in fields(Recipe)]
    if name not in names:
        raise UserError(f"A recipe has no field {name!r}. Choose one of: {', '.join(names)}.")
    expected = field_type(name)
    if text == NONE and is_optional(name):
        return None
    try:
        if expected is tuple:
            return () if text == NONE else tuple(filter(None, text.split("+")))
        return {"true": True, "false": False}[text] if expected is bool else expected(text)
    except (KeyError, ValueError) as error:
        remedy = f"Give a value such as {format_field(getattr(Recipe(), name))}"
        alternative = " or a number" if is_optional(name) else ""
        raise UserError(
            f"{text!r} is not a valid {expected.__name__} for {name!r}. {remedy}{alternative}."
        ) from error


def format_field(value: Any) -> str:
    """Convert a field's value to the text that `parse_field` reads."""
    if value is None or value == ():
        return NONE
    return "+".join(value) if isinstance(value, tuple) else str(value)


def for_finetuning(recipe: Recipe) -> Recipe:
    """Adapt a recipe to training that goes on from finished weights.

    The learning rate is a fifth, its schedule starts again, and the seed is the next one. The
    teacher, the strokes and the outliers are dropped, as their files may be missing, and the
    final weights are not averaged with the initial ones.
    """
    return replace(
        recipe,
        learning_rate=recipe.learning_rate / 5,
        seed=recipe.seed + 1,
        teacher=None,
        strokes=(),
        outliers=(),
        init_fraction=0.0,
    )


def from_dict(values: dict[str, Any]) -> Recipe:
    """Build the recipe that a model card holds. An unknown field is a `UserError`."""
    unknown = values.keys() - {item.name for item in fields(Recipe)}
    if unknown:
        raise UserError(
            f"A recipe has no field {min(unknown)!r}. Use a checkpoint made by this program."
        )
    arguments: dict[str, Any] = {
        name: tuple(value) if field_type(name) is tuple else value for name, value in values.items()
    }
    return Recipe(**arguments)


def to_args(recipe: Recipe) -> list[str]:
    """List the command line's flags for the fields that differ from their defaults."""
    words: list[str] = []
    for item in fields(Recipe):
        value = getattr(recipe, item.name)
        flag = item.name.replace("_", "-")
        if isinstance(value, bool) and value != item.default:
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value != item.default:
            words += [f"--{flag}", format_field(value)]
    return words
