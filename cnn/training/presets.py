"""Presets: recipes worth repeating, each with what it reaches."""

from dataclasses import dataclass, replace

from cnn import UserError
from cnn.training.config import Recipe


@dataclass(frozen=True)
class Preset:
    """A recipe with a title that says what it reaches.

    `title` names the test accuracy in percent where it was measured; with two numbers the second
    is with test-time augmentation. `reference_accuracy`, in [0, 1], is the accuracy stated by the
    author of the network. `make_default` lets the network that it trains be its data set's default.
    """

    recipe: Recipe
    title: str
    reference_accuracy: float | None = None
    make_default: bool = False


_TWO_CONV = Recipe(
    model="two-conv",
    epochs=20,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    augmentation=("translate-4",),
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
    nesterov=False,
    augmentation=("alternating-flip", "translate-4"),
)

_QUICK_DIGITS = Recipe(
    model="small-cnn",
    epochs=1,
    batch_size=256,
    learning_rate=0.01,
    beta1=0.7,
    beta2=0.9,
    label_smoothing=0.1,
    schedule="cosine-warmup",
)
_QUICK_PHOTOS = Recipe(
    dataset="cifar10",
    model="airbench-quick",
    epochs=1.35,
    batch_size=250,
    optimizer="muon",
    learning_rate=1.3,
    momentum=0.6,
    weight_decay=0.0013,
    norm_bias_lr_scale=64,
    schedule="triangular",
    warmup_fraction=0.1,
    augmentation=("alternating-flip", "translate-2"),
    label_smoothing=0.1,
    validation_size=1_000,
)
_AIRBENCH = replace(
    _QUICK_PHOTOS, model="airbench", batch_size=500, learning_rate=1.5, label_smoothing=0.2
)
_PHOTOS = replace(
    _AIRBENCH,
    epochs=40,
    optimizer="sgd",
    learning_rate=0.6,
    momentum=0.85,
    weight_decay=0.0011,
    warmup_fraction=0.2,
    augmentation=("alternating-flip", "translate-4", "degrade", "cutout"),
    label_smoothing=0.0,
    validation_size=2_000,
)

_AUGMENTED = Recipe(
    dataset="cifar10",
    model="three-conv-norm",
    epochs=15,
    batch_size=128,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.02,
    schedule="cosine-warmup",
    augmentation=("alternating-flip", "translate-2"),
)
_CLASSIC = Recipe(
    dataset="cifar10",
    epochs=10,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="cosine-warmup",
    augmentation=("alternating-flip", "translate-4"),
)
_DIGITS = Recipe(
    model="four-conv-norm",
    epochs=20,
    batch_size=256,
    optimizer="adamw",
    learning_rate=4e-3,
    weight_decay=0.02,
    schedule="cosine-warmup",
    augmentation=("affine", "erode-dilate"),
    extra_synthetic=24_000,
    label_smoothing=0.05,
    ema_decay=0.998,
    validation_size=1_000,
)

PRESETS: dict[str, Preset] = {
    "mnist-two-conv": Preset(_TWO_CONV, "MNIST, two convolutions: 98.8 %"),
    "cifar10-two-conv": Preset(
        replace(_TWO_CONV, dataset="cifar10", augmentation=("alternating-flip", "translate-4")),
        "CIFAR-10, two convolutions: 72.3 / 75.2 %",
    ),
    "mnist-three-conv": Preset(_THREE_CONV, "MNIST, three convolutions: 99.2 %", 0.98),
    "cifar10-three-conv": Preset(
        replace(_THREE_CONV, dataset="cifar10"),
        "CIFAR-10, three convolutions: 74.6 / 77.5 %",
        0.74,
    ),
    "mnist-three-conv-norm": Preset(
        _THREE_CONV_NORM, "MNIST, three convolutions with batch norm: 99.3 %", 0.9939
    ),
    "cifar10-three-conv-norm": Preset(
        replace(_THREE_CONV_NORM, dataset="cifar10"),
        "CIFAR-10, three convolutions with batch norm: 77.8 / 79.8 %",
        0.7847,
    ),
    "mnist-two-conv-dropout": Preset(
        _TWO_CONV_DROPOUT, "MNIST, two convolutions with dropout: 99.3 %", 0.98
    ),
    "cifar10-two-conv-dropout": Preset(
        replace(_TWO_CONV_DROPOUT, dataset="cifar10"),
        "CIFAR-10, two convolutions with dropout: 71.1 / 73.2 %",
    ),
    "mnist-three-conv-wide": Preset(
        replace(_THREE_CONV_WIDE, dataset="mnist", augmentation=("translate-4",)),
        "MNIST, three wide convolutions, plain SGD",
    ),
    "cifar10-three-conv-wide": Preset(
        _THREE_CONV_WIDE, "CIFAR-10, three wide convolutions, plain SGD"
    ),
    "mnist-98": Preset(replace(_QUICK_DIGITS, epochs=0.35), "MNIST to 98.5 %"),
    "mnist-99": Preset(replace(_QUICK_DIGITS, epochs=0.93), "MNIST to 99.1 %"),
    "mnist-99.4": Preset(
        replace(_QUICK_DIGITS, epochs=2.8, augmentation=("affine",)), "MNIST to 99.44 %"
    ),
    "mnist-99.5": Preset(
        replace(_QUICK_DIGITS, epochs=5, augmentation=("affine",), validation_size=1_000),
        "MNIST to 99.54 %",
    ),
    "synthetic": Preset(
        replace(_QUICK_DIGITS, dataset="synthetic", epochs=4), "Synthetic digits, no download"
    ),
    "cifar10-74": Preset(
        replace(_QUICK_PHOTOS, epochs=0.76, augmentation=("alternating-flip",)),
        "CIFAR-10 to 75 %",
    ),
    "cifar10-78": Preset(_QUICK_PHOTOS, "CIFAR-10 to 79 %"),
    "cifar10-90": Preset(
        replace(_AIRBENCH, model="airbench-small", epochs=4.25), "CIFAR-10 to 90.2 %"
    ),
    "cifar10-94": Preset(
        replace(_AIRBENCH, epochs=8, learning_rate=1.0), "CIFAR-10 to 93.1 / 93.9 %"
    ),
    "mnist-three-conv-norm-augmented": Preset(
        replace(_AUGMENTED, dataset="mnist", augmentation=("affine", "erode-dilate")),
        "MNIST, three convolutions, augmented: 99.65 %",
        0.9939,
    ),
    "cifar10-three-conv-norm-augmented": Preset(
        _AUGMENTED, "CIFAR-10, three convolutions, augmented: 83.6 / 84.9 %", 0.7847
    ),
    "cifar10-resnet-20": Preset(
        replace(_CLASSIC, model="resnet-20"), "CIFAR-10, ResNet-20: 87.1 / 87.9 %"
    ),
    "cifar10-vgg": Preset(replace(_CLASSIC, model="vgg"), "CIFAR-10, VGG: 87.2 / 88.2 %"),
    "digits": Preset(_DIGITS, "MNIST and synthetic digits: 99.7 %", make_default=True),
    "digits-best": Preset(
        replace(
            _DIGITS,
            model="six-conv-norm",
            epochs=24,
            augmentation=("affine",),
            extra_synthetic=0,
        ),
        "MNIST, six convolutions: 99.7 %",
    ),
    "digits-tiny": Preset(
        replace(
            _DIGITS,
            model="tiny-cnn",
            epochs=80,
            learning_rate=0.01,
            weight_decay=0.005,
            augmentation=("affine",),
            extra_synthetic=0,
            label_smoothing=0.0,
        ),
        "MNIST, 9,330 parameters: 99.5 %",
    ),
    "photos": Preset(_PHOTOS, "CIFAR-10 and photographs: 94.1 / 95.1 %", make_default=True),
    "photos-small": Preset(
        replace(
            _PHOTOS,
            model="airbench-small",
            epochs=24,
            validation_size=5_000,
            teacher="cifar10-airbench",
        ),
        "CIFAR-10, distilled: 93.7 / 94.6 %",
    ),
}


def preset(name: str) -> Preset:
    """Return the preset of that name. An unknown name is a `UserError`."""
    if name not in PRESETS:
        raise UserError(f"There is no preset called {name!r}. Choose one of: {', '.join(PRESETS)}.")
    return PRESETS[name]
