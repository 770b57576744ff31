"""How a network is trained: every choice a field of `Recipe`, and the recipes worth keeping."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from types import UnionType
from typing import Any, get_origin, get_type_hints

from cnn import UserError
from cnn.data.augmentation import AUGMENTATIONS
from cnn.data.datasets import DATASETS, get_dataset
from cnn.models.architectures import MODELS

OPTIMIZERS = ("adam", "adamw", "sgd", "muon")
SCHEDULES = ("constant", "linear", "one-cycle", "cosine", "step")
FLIP = "flip"


def _field(default, text: str, *, choices: Iterable[str] = (), within: tuple = ()):
    metadata = {"help": text, "choices": tuple(choices), "within": within}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does. The same recipe gives the same network.

    Each field's metadata holds its `help`, the `choices` there are for a name, and the lowest
    and highest number it may be `within`.
    """

    dataset: str = _field("mnist", "the pictures to learn from", choices=DATASETS)
    model: str = _field("three-conv-norm", "the network", choices=MODELS)
    epochs: float = _field(
        5.0, "how often every picture is seen; may be a fraction", within=(0.001, 10_000)
    )
    batch_size: int = _field(128, "pictures a step", within=(1, 100_000))
    optimizer: str = _field("adam", "how weights follow their gradients", choices=OPTIMIZERS)
    learning_rate: float = _field(
        1e-3, "step size, at its highest where a schedule changes it", within=(1e-9, 1_000)
    )
    momentum: float = _field(
        0.9, "share of the last step kept (Adam: its first beta)", within=(0, 0.9999)
    )
    second_momentum: float = _field(
        0.999, "Adam's second beta: share of the squared gradients kept", within=(0, 0.999999)
    )
    weight_decay: float = _field(0.0, "pull of the weights towards zero", within=(0, 10))
    norm_rate: float = _field(
        1.0, "learning rate of batch norm's biases, in learning rates", within=(0, 1_000)
    )
    schedule: str = _field("constant", "course of the learning rate", choices=SCHEDULES)
    warmup: float = _field(
        0.2, "share of the run in which linear and one-cycle schedules rise", within=(0, 1)
    )
    dropout: float | None = _field(
        None, "share of units left out; by default the network's own", within=(0, 0.99)
    )
    augmentation: tuple[str, ...] = _field(
        (), "changes at random to each picture", choices=(FLIP, *AUGMENTATIONS)
    )
    synthetic: int = _field(
        0, "synthetic digits learnt from beside the data set's own", within=(0, 1_000_000)
    )
    label_smoothing: float = _field(
        0.0, "share of each answer spread over the other classes", within=(0, 0.99)
    )
    teacher: str | None = _field(
        None, "a checkpoint whose shares for all classes are learnt beside the labels"
    )
    outliers: tuple[str, ...] = _field(
        (), "images of other things, to be given equal probabilities: cifar100, or .npz files"
    )
    outlier_weight: float = _field(
        0.5, "weight of the outliers' loss beside that of the images", within=(0, 100)
    )
    average: float = _field(
        0.0, "decay, a step, of the running mean of the weights; 0 for none", within=(0, 0.99999)
    )
    clip: float = _field(
        0.0, "longest gradient that a step follows whole; 0 for any", within=(0, 1e9)
    )
    patience: int = _field(
        0, "epochs to wait for a better validation loss; 0 for all epochs", within=(0, 10_000)
    )
    held_out: int | None = _field(
        None, "training pictures watched instead of learnt from", within=(1, 1_000_000)
    )
    seed: int = _field(0, "start of all that is random", within=(0, 2**63 - 1))
    claim: float | None = _field(
        None, "the accuracy that the recipe's author states, for the Card", within=(0, 1)
    )
    default: bool = _field(False, "let this network answer for its data set on the page")

    def __post_init__(self):
        suitable = get_dataset(self.dataset)
        for one in fields(self):
            value, name = getattr(self, one.name), one.name.replace("_", " ")
            choices, within = one.metadata["choices"], one.metadata["within"]
            if one.name == "augmentation":
                name = f"augmentation for {suitable.title}"
                choices = suitable.augmentations
            for word in value if isinstance(value, tuple) else (value,):
                if choices and word not in choices:
                    remedy = f"Choose: {', '.join(choices)}."
                    raise UserError(f"There is no {name} {word!r}. {remedy}")
            if within and value is not None and not within[0] <= value <= within[1]:
                remedy = "Choose from {:g} to {:g}.".format(*within)
                raise UserError(f"The {name} cannot be {value}. {remedy}")
        if self.synthetic and suitable.channels != 1:
            raise UserError(
                f"Synthetic digits cannot join the pictures of {suitable.title}. Leave them at 0."
            )


def field_type(name: str) -> type:
    """What a field of `Recipe` holds: str, int, float, bool or tuple."""
    hint = get_type_hints(Recipe)[name]
    if isinstance(hint, UnionType):
        hint = hint.__args__[0]
    return get_origin(hint) or hint


def parse_field(name: str, text: str) -> Any:
    """The value of a recipe's field that a text says: "warp+thickness" for two names.

    A `UserError` names a field that no recipe has, and a text that is no such value.
    """
    names = [one.name for one in fields(Recipe)]
    if name not in names:
        raise UserError(f"No recipe has the field {name!r}. Choose: {', '.join(names)}.")
    expected = field_type(name)
    try:
        if expected is tuple:
            return tuple(filter(None, text.split("+")))
        return {"true": True, "false": False}[text] if expected is bool else expected(text)
    except (KeyError, ValueError) as fault:
        raise UserError(
            f"{text!r} is no {expected.__name__} for {name!r}. Choose one such as "
            f"{getattr(Recipe(), name)!r}."
        ) from fault


def for_finetuning(recipe: Recipe) -> Recipe:
    """The recipe to go on with from finished weights: the same, with smaller steps.

    A fifth of the learning rate, on its schedule from the beginning, other random numbers, and
    neither teacher nor outliers, which may not be there.
    """
    return replace(
        recipe,
        learning_rate=recipe.learning_rate / 5,
        seed=recipe.seed + 1,
        teacher=None,
        outliers=(),
    )


def from_dict(values: dict[str, Any]) -> Recipe:
    """The recipe that a Card holds. A `UserError` names a field that no recipe has."""
    unknown = values.keys() - {one.name for one in fields(Recipe)}
    if unknown:
        raise UserError(
            f"No recipe has the field {min(unknown)!r}. Use a checkpoint of this program."
        )
    return Recipe(
        **{
            name: tuple(value) if field_type(name) is tuple else value
            for name, value in values.items()
        }
    )


def to_args(recipe: Recipe) -> list[str]:
    """The command line's words for a recipe: those fields that are not at their defaults."""
    words: list[str] = []
    for one in fields(Recipe):
        value = getattr(recipe, one.name)
        if value != one.default:
            words.append("--" + one.name.replace("_", "-"))
            if isinstance(value, tuple):
                words += value
            elif value is not True:
                words.append(str(value))
    return words
