"""How a network is trained: every choice a field of `Recipe`, and the recipes worth keeping."""

from dataclasses import MISSING, dataclass, field, fields, replace

from cnn import UserError
from cnn.augmentation import AUGMENTATIONS
from cnn.datasets import named
from cnn.models import MODELS

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "linear", "one-cycle", "cosine", "step")
FLIP = "flip"


def _field(default, text: str):
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does. The same recipe gives the same network."""

    dataset: str = _field("mnist", "the pictures to learn from: mnist, cifar10 or synthetic")
    model: str = _field("three-conv-norm", "the network: a name that `MODELS` holds")
    epochs: float = _field(5.0, "how often every picture is seen; may be a fraction")
    batch_size: int = _field(128, "pictures a step")
    optimizer: str = _field("adam", f"one of {', '.join(OPTIMIZERS)}")
    learning_rate: float = _field(1e-3, "step size, at its highest where a schedule changes it")
    momentum: float = _field(0.9, "share of the last step kept (Adam: its first beta)")
    weight_decay: float = _field(0.0, "pull of the weights towards zero")
    norm_rate: float = _field(1.0, "learning rate of batch norm's biases, in learning rates")
    schedule: str = _field("constant", f"course of the learning rate: {', '.join(SCHEDULES)}")
    warmup: float = _field(0.2, "share of the run in which linear and one-cycle schedules rise")
    dropout: float | None = _field(None, "share of units left out; by default the network's own")
    augmentation: tuple[str, ...] = _field(
        (), f"changes at random: {', '.join((FLIP, *AUGMENTATIONS))}"
    )
    synthetic: int = _field(0, "synthetic digits learnt from beside the data set's own")
    label_smoothing: float = _field(0.0, "share of each answer spread over the other classes")
    average: float = _field(0.0, "decay, a step, of the running mean of the weights; 0 for none")
    clip: float = _field(0.0, "longest gradient that a step follows whole; 0 for any")
    patience: int = _field(0, "epochs to wait for a better validation loss; 0 for all epochs")
    held_out: int | None = _field(None, "training pictures watched instead of learnt from")
    seed: int = _field(0, "start of all that is random")
    claim: float | None = _field(None, "the accuracy that the recipe's author states, for the Card")
    default: bool = _field(False, "let this network answer for its data set on the page")

    def __post_init__(self):
        dataset = named(self.dataset)
        _require(self.model in MODELS, "network", self.model, f"Choose: {', '.join(MODELS)}.")
        _require(
            self.optimizer in OPTIMIZERS,
            "optimizer",
            self.optimizer,
            f"Choose: {', '.join(OPTIMIZERS)}.",
        )
        _require(
            self.schedule in SCHEDULES,
            "schedule",
            self.schedule,
            f"Choose: {', '.join(SCHEDULES)}.",
        )
        for name in self.augmentation:
            _require(
                name in dataset.augmentations,
                f"augmentation for {dataset.title}",
                name,
                f"Choose: {', '.join(dataset.augmentations)}.",
            )
        for name, low, high in _RANGES:
            value = getattr(self, name)
            _require(
                value is None or low <= value <= high,
                name.replace("_", " "),
                value,
                f"Choose from {low:g} to {high:g}.",
            )
        if self.synthetic and dataset.channels != 1:
            raise UserError(
                f"Synthetic digits cannot join the pictures of {dataset.title}. Leave them at 0."
            )


_RANGES = (
    ("epochs", 0.001, 10_000),
    ("batch_size", 1, 100_000),
    ("learning_rate", 1e-9, 1_000),
    ("momentum", 0, 0.9999),
    ("weight_decay", 0, 10),
    ("norm_rate", 0, 1_000),
    ("warmup", 0, 1),
    ("dropout", 0, 0.99),
    ("synthetic", 0, 1_000_000),
    ("label_smoothing", 0, 0.99),
    ("average", 0, 0.99999),
    ("clip", 0, 1e9),
    ("patience", 0, 10_000),
    ("held_out", 1, 1_000_000),
    ("seed", 0, 2**63 - 1),
    ("claim", 0, 1),
)


def _require(fine: bool, what: str, value: object, remedy: str) -> None:
    if not fine:
        raise UserError(f"There is no {what} {value!r}. {remedy}")


def flags(recipe: Recipe) -> list[str]:
    """The command line's words for a recipe: those fields that are not at their defaults."""
    words: list[str] = []
    for one in fields(Recipe):
        value = getattr(recipe, one.name)
        default = None if one.default is MISSING else one.default
        if value != default:
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
_TWO_CONV_DROPOUT = Recipe(model="two-conv-dropout", epochs=10, batch_size=64, claim=0.98)
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
    schedule="one-cycle",
    held_out=5_000,
)
_QUICK_PHOTOS = Recipe(
    dataset="cifar10",
    model="quick-whitened",
    epochs=2,
    batch_size=250,
    optimizer="sgd",
    learning_rate=0.5,
    momentum=0.85,
    weight_decay=0.0013,
    norm_rate=64,
    schedule="linear",
    augmentation=("flip", "nudge"),
    label_smoothing=0.2,
)

PRESETS: dict[str, Recipe] = {
    "mnist-two-conv": _TWO_CONV,
    "cifar10-two-conv": replace(_TWO_CONV, dataset="cifar10", augmentation=("flip", "shift")),
    "mnist-three-conv": replace(_THREE_CONV, claim=0.98),
    "cifar10-three-conv": replace(_THREE_CONV, dataset="cifar10", claim=0.74),
    "mnist-three-conv-norm": replace(_THREE_CONV_NORM, claim=0.9939),
    "cifar10-three-conv-norm": replace(_THREE_CONV_NORM, dataset="cifar10", claim=0.7847),
    "mnist-two-conv-dropout": _TWO_CONV_DROPOUT,
    "cifar10-three-conv-wide": _THREE_CONV_WIDE,
    "mnist-98": replace(_QUICK_DIGITS, epochs=0.5),
    "mnist-99": _QUICK_DIGITS,
    "cifar10-74": _QUICK_PHOTOS,
    "digits": Recipe(
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
    ),
    "photos": Recipe(
        dataset="cifar10",
        model="whitened",
        epochs=12,
        batch_size=500,
        optimizer="sgd",
        learning_rate=0.7,
        momentum=0.85,
        weight_decay=0.0013,
        norm_rate=64,
        schedule="linear",
        augmentation=("flip", "nudge"),
        label_smoothing=0.2,
        held_out=1_000,
        default=True,
    ),
}


def preset(name: str) -> Recipe:
    """The recipe of that name, or a `UserError` that lists the names there are."""
    if name not in PRESETS:
        raise UserError(f"There is no preset called {name!r}. Choose: {', '.join(PRESETS)}.")
    return PRESETS[name]
