"""Split off."""

from dataclasses import replace

from cnn import UserError
from cnn.training.config import Recipe

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
_AIRBENCH = replace(
    _QUICK_PHOTOS, model="whitened", batch_size=500, label_smoothing=0.2, held_out=1_000
)
_PHOTOS = replace(
    _AIRBENCH,
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
    "cifar10-90": replace(_AIRBENCH, model="whitened-small", epochs=4.25),
    "cifar10-94": replace(_AIRBENCH, epochs=8, learning_rate=1.0),
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
