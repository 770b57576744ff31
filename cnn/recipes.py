"""How a network is trained: every choice a field of `Recipe`, and the recipes worth keeping."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from types import UnionType
from typing import Any, get_origin, get_type_hints

from cnn import UserError
from cnn.augmentation import AUGMENTATIONS
from cnn.datasets import DATASETS, named
from cnn.models import MODELS

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
        suitable = named(self.dataset)
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


def kind(name: str) -> type:
    """What a field of `Recipe` holds: str, int, float, bool or tuple."""
    hint = get_type_hints(Recipe)[name]
    if isinstance(hint, UnionType):
        hint = hint.__args__[0]
    return get_origin(hint) or hint


def parse(name: str, text: str) -> Any:
    """The value of a recipe's field that a text says: "warp+thickness" for two names.

    A `UserError` names a field that no recipe has, and a text that is no such value.
    """
    names = [one.name for one in fields(Recipe)]
    if name not in names:
        raise UserError(f"No recipe has the field {name!r}. Choose: {', '.join(names)}.")
    expected = kind(name)
    try:
        if expected is tuple:
            return tuple(filter(None, text.split("+")))
        return {"true": True, "false": False}[text] if expected is bool else expected(text)
    except (KeyError, ValueError) as fault:
        raise UserError(
            f"{text!r} is no {expected.__name__} for {name!r}. Choose one such as "
            f"{getattr(Recipe(), name)!r}."
        ) from fault


def continued(recipe: Recipe) -> Recipe:
    """The recipe to go on with from finished weights: the same, with smaller steps.

    A fifth of the learning rate, on its schedule from the beginning, other random numbers, and
    no teacher, who may not be there.
    """
    return replace(
        recipe, learning_rate=recipe.learning_rate / 5, seed=recipe.seed + 1, teacher=None
    )


def remembered(values: dict[str, Any]) -> Recipe:
    """The recipe that a Card holds. A `UserError` names a field that no recipe has."""
    unknown = values.keys() - {one.name for one in fields(Recipe)}
    if unknown:
        raise UserError(
            f"No recipe has the field {min(unknown)!r}. Use a checkpoint of this program."
        )
    return Recipe(**values | {"augmentation": tuple(values.get("augmentation", ()))})


def flags(recipe: Recipe) -> list[str]:
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


_TWO_CONV = Recipe(
    model="two-conv",
    epochs=20,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    augmentation=("shift",),
)
_THREE_CONV = Recipe(model="three-conv", epochs=5, batch_size=64)
_THREE_CONV_NORM = Recipe(model="three-conv-norm", epochs=15, batch_size=128)
_TWO_CONV_DROPOUT = Recipe(model="two-conv-dropout", epochs=10, batch_size=64)
_THREE_CONV_WIDE = Recipe(
    dataset="cifar10",
    model="three-conv-wide",
    epochs=20,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="step",
    augmentation=("flip", "shift"),
)

_QUICK_DIGITS = Recipe(
    model="quick",
    epochs=1,
    batch_size=256,
    learning_rate=0.01,
    momentum=0.7,
    second_momentum=0.9,
    label_smoothing=0.1,
    schedule="one-cycle",
)
_QUICK_PHOTOS = Recipe(
    dataset="cifar10",
    model="quick-whitened",
    epochs=1.65,
    batch_size=250,
    optimizer="muon",
    learning_rate=1.5,
    momentum=0.6,
    weight_decay=0.0013,
    norm_rate=64,
    schedule="linear",
    warmup=0.1,
    augmentation=("flip", "nudge"),
    label_smoothing=0.1,
)
_WHITENED = replace(
    _QUICK_PHOTOS, model="whitened", batch_size=500, label_smoothing=0.2, held_out=1_000
)
_PHOTOS = replace(
    _WHITENED,
    epochs=40,
    optimizer="sgd",
    learning_rate=0.6,
    momentum=0.85,
    weight_decay=0.0011,
    warmup=0.2,
    augmentation=("flip", "shift", "camera", "cutout"),
    label_smoothing=0.0,
    held_out=2_000,
    default=True,
)

_AUGMENTED = Recipe(
    dataset="cifar10",
    model="three-conv-norm",
    epochs=15,
    batch_size=128,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.02,
    schedule="one-cycle",
    augmentation=("flip", "nudge"),
)
_CLASSIC = Recipe(
    dataset="cifar10",
    epochs=10,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="one-cycle",
    augmentation=("flip", "shift"),
)
_DIGITS = Recipe(
    model="four-conv-norm",
    epochs=20,
    batch_size=256,
    optimizer="adamw",
    learning_rate=4e-3,
    weight_decay=0.02,
    schedule="one-cycle",
    augmentation=("warp", "thickness"),
    synthetic=24_000,
    label_smoothing=0.05,
    average=0.998,
    held_out=1_000,
    default=True,
)

PRESETS: dict[str, Recipe] = {
    "mnist-two-conv": _TWO_CONV,
    "cifar10-two-conv": replace(_TWO_CONV, dataset="cifar10", augmentation=("flip", "shift")),
    "mnist-three-conv": replace(_THREE_CONV, claim=0.98),
    "cifar10-three-conv": replace(_THREE_CONV, dataset="cifar10", claim=0.74),
    "mnist-three-conv-norm": replace(_THREE_CONV_NORM, claim=0.9939),
    "cifar10-three-conv-norm": replace(_THREE_CONV_NORM, dataset="cifar10", claim=0.7847),
    "mnist-two-conv-dropout": replace(_TWO_CONV_DROPOUT, claim=0.98),
    "cifar10-two-conv-dropout": replace(_TWO_CONV_DROPOUT, dataset="cifar10"),
    "mnist-three-conv-wide": replace(_THREE_CONV_WIDE, dataset="mnist", augmentation=("shift",)),
    "cifar10-three-conv-wide": _THREE_CONV_WIDE,
    "mnist-98": replace(_QUICK_DIGITS, epochs=0.42),
    "mnist-99": _QUICK_DIGITS,
    "mnist-99.4": replace(_QUICK_DIGITS, epochs=2.8, augmentation=("warp",)),
    "mnist-99.5": replace(_QUICK_DIGITS, epochs=5, augmentation=("warp",), held_out=1_000),
    "synthetic": replace(_QUICK_DIGITS, dataset="synthetic", epochs=4),
    "cifar10-74": replace(_QUICK_PHOTOS, epochs=0.85),
    "cifar10-78": _QUICK_PHOTOS,
    "cifar10-90": replace(_WHITENED, model="whitened-small", epochs=4.25),
    "cifar10-94": replace(_WHITENED, epochs=8, learning_rate=1.0),
    "mnist-three-conv-norm-augmented": replace(
        _AUGMENTED, dataset="mnist", augmentation=("warp", "thickness"), claim=0.9939
    ),
    "cifar10-three-conv-norm-augmented": replace(_AUGMENTED, claim=0.7847),
    "cifar10-resnet-20": replace(_CLASSIC, model="resnet-20"),
    "cifar10-vgg": replace(_CLASSIC, model="vgg"),
    "digits": _DIGITS,
    "digits-best": replace(
        _DIGITS,
        model="six-conv-norm",
        epochs=24,
        augmentation=("warp",),
        synthetic=0,
        default=False,
    ),
    "digits-tiny": replace(
        _DIGITS,
        model="tiny",
        epochs=80,
        learning_rate=0.01,
        weight_decay=0.005,
        augmentation=("warp",),
        synthetic=0,
        label_smoothing=0.0,
        default=False,
    ),
    "photos": _PHOTOS,
    "photos-small": replace(
        _PHOTOS,
        model="whitened-small",
        epochs=24,
        held_out=5_000,
        teacher="checkpoints/cifar10-whitened.safetensors",
        default=False,
    ),
}


def preset(name: str) -> Recipe:
    """The recipe of that name, or a `UserError` that lists the names there are."""
    if name not in PRESETS:
        raise UserError(f"There is no preset called {name!r}. Choose: {', '.join(PRESETS)}.")
    return PRESETS[name]
