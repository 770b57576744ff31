"""The networks: each a function of a data set to an `nn.Sequential` of named layers.

A network takes float32 (N, C, H, W) in [0, 1], normalizes it in its first layer and returns
logits (N, classes). A residual block counts as one layer.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from cnn import UserError
from cnn.data.datasets import Dataset
from cnn.models.airbench import airbench, airbench_quick, airbench_small
from cnn.models.layers import Normalize, Residual, ToColor32, Whitening

Layers = list[tuple[str, nn.Module]]


def _normalize(dataset: Dataset) -> tuple[str, nn.Module]:
    return "normalize", Normalize(dataset.mean, dataset.std)


def _hidden_head(features: int, hidden: int, classes: int, dropout: float) -> Layers:
    """Return the layers of a head with one hidden layer of `hidden` units."""
    return [
        ("flatten", nn.Flatten()),
        ("dense1", nn.Linear(features, hidden)),
        ("dense_relu", nn.ReLU()),
        ("dropout", nn.Dropout(dropout)),
        ("dense2", nn.Linear(hidden, classes)),
    ]


def _conv_blocks(widths: tuple[int, ...], kernels: tuple[int, ...], norm: bool) -> Layers:
    """Return blocks of a convolution that keeps the size, batch norm, ReLU and pooling."""
    layers: Layers = []
    for index, (channels, kernel) in enumerate(zip(pairwise(widths), kernels, strict=True), 1):
        layers.append((f"conv{index}", nn.Conv2d(*channels, kernel, padding=kernel // 2)))
        if norm:
            layers.append((f"norm{index}", nn.BatchNorm2d(channels[1])))
        layers += [(f"relu{index}", nn.ReLU()), (f"pool{index}", nn.MaxPool2d(2))]
    return layers


def _sequence(layers: Layers) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def two_conv(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """Two convolutions of 32 filters and one fully connected layer.

    After the shortest of the CIFAR-10 and MNIST tutorials, trained with SGD and augmentation.
    """
    return _sequence(
        [
            _normalize(dataset),
            *_conv_blocks((dataset.channels, 32, 32), (3, 3), norm=False),
            ("flatten", nn.Flatten()),
            ("dropout", nn.Dropout(dropout)),
            ("dense1", nn.Linear(32 * (dataset.size // 4) ** 2, len(dataset.classes))),
        ]
    )


def three_conv(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """Convolutions 32, 64, 128 and 128 units, without batch norm.

    After the tutorials that reach 98 % on MNIST and 74 % on CIFAR-10 in 5 epochs of Adam.
    """
    return _sequence(
        [
            _normalize(dataset),
            *_conv_blocks((dataset.channels, 32, 64, 128), (3, 3, 3), norm=False),
            *_hidden_head(128 * (dataset.size // 8) ** 2, 128, len(dataset.classes), dropout),
        ]
    )


def three_conv_norm(dataset: Dataset, dropout: float = 0.5) -> nn.Sequential:
    """Convolutions 32 (5x5), 64, 128 with batch norm, 256 units, dropout; 32 x 32 x 3 inside.

    After the tutorial with one shape for both data sets: 99.39 % on MNIST, 78.47 % on CIFAR-10
    after 15 epochs of Adam. Its inputs lie in [-1, 1].
    """
    return _sequence(
        [
            ("to_color_32", ToColor32()),
            ("normalize", Normalize((0.5,) * 3, (0.5,) * 3)),
            *_conv_blocks((3, 32, 64, 128), (5, 3, 3), norm=True),
            *_hidden_head(128 * 4 * 4, 256, len(dataset.classes), dropout),
        ]
    )


def two_conv_dropout(dataset: Dataset, dropout: float = 0.5) -> nn.Sequential:
    """Convolutions 32 and 64, the second without padding, 128 units and dropout.

    After the MNIST tutorial that reaches 98 % in 10 epochs of Adam. Its text gives the
    flattened size as 64 * 12 * 12; for 28 x 28 it is 64 * 6 * 6.
    """
    side = (dataset.size // 2 - 2) // 2
    return _sequence(
        [
            _normalize(dataset),
            ("conv1", nn.Conv2d(dataset.channels, 32, 3, padding=1)),
            ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(2)),
            ("conv2", nn.Conv2d(32, 64, 3)),
            ("relu2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(2)),
            *_hidden_head(64 * side**2, 128, len(dataset.classes), dropout),
        ]
    )


def three_conv_wide(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """Convolutions 32, 64, 128 and 512 units.

    After the CIFAR-10 tutorial with SGD, momentum 0.9, 20 epochs, augmentation and a
    validation split.
    """
    return _sequence(
        [
            _normalize(dataset),
            *_conv_blocks((dataset.channels, 32, 64, 128), (3, 3, 3), norm=False),
            *_hidden_head(128 * (dataset.size // 8) ** 2, 512, len(dataset.classes), dropout),
        ]
    )


def _conv_bn_relu(
    index: int, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1
) -> Layers:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return [
        (f"conv{index}", conv),
        (f"norm{index}", nn.BatchNorm2d(out_channels)),
        (f"relu{index}", nn.ReLU()),
    ]


def _gap_head(features: int, classes: int, dropout: float) -> Layers:
    """Return the layers of a head with global average pooling."""
    return [
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("dropout", nn.Dropout(dropout)),
        ("dense", nn.Linear(features, classes)),
    ]


def four_conv_norm(dataset: Dataset, dropout: float = 0.3) -> nn.Sequential:
    """Convolutions 32 (5x5), 64, 64, 96 with batch norm and no hidden layer.

    Our own, for drawn digits: about the cost of `three_conv_norm` with a fifth of its weights.
    """
    return _sequence(
        [
            _normalize(dataset),
            *_conv_bn_relu(1, dataset.channels, 32, 5),
            ("pool1", nn.MaxPool2d(2)),
            *_conv_bn_relu(2, 32, 64),
            *_conv_bn_relu(3, 64, 64),
            ("pool2", nn.MaxPool2d(2)),
            *_conv_bn_relu(4, 64, 96),
            ("pool3", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("dropout", nn.Dropout(dropout)),
            ("dense", nn.Linear(96 * (dataset.size // 8) ** 2, len(dataset.classes))),
        ]
    )


def six_conv_norm(dataset: Dataset, dropout: float = 0.2) -> nn.Sequential:
    """Convolutions 32 (5x5), 64, 96, 96, 160, 160 with batch norm; strides instead of pooling.

    Our own, for the last tenths on MNIST. Plain small convolutions with batch norm work best for
    digits: S. An and others, "An ensemble of simple convolutional neural network models for
    MNIST digit recognition" (2020).
    """
    return _sequence(
        [
            _normalize(dataset),
            *_conv_bn_relu(1, dataset.channels, 32, kernel=5),
            *_conv_bn_relu(2, 32, 64, stride=2),
            *_conv_bn_relu(3, 64, 96),
            *_conv_bn_relu(4, 96, 96),
            *_conv_bn_relu(5, 96, 160, stride=2),
            *_conv_bn_relu(6, 160, 160),
            *_gap_head(160, len(dataset.classes), dropout),
        ]
    )


def tiny_cnn(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """Convolutions 8 (5x5), 12, 16, 18, 22 with batch norm: under 10,000 parameters for digits.

    Our own, to see how little suffices.
    """
    return _sequence(
        [
            _normalize(dataset),
            *_conv_bn_relu(1, dataset.channels, 8, kernel=5),
            *_conv_bn_relu(2, 8, 12, stride=2),
            *_conv_bn_relu(3, 12, 16),
            *_conv_bn_relu(4, 16, 18),
            ("pool4", nn.MaxPool2d(2)),
            *_conv_bn_relu(5, 18, 22),
            *_gap_head(22, len(dataset.classes), dropout),
        ]
    )


def vgg(dataset: Dataset, dropout: float = 0.1) -> nn.Sequential:
    """Pairs of 3x3 convolutions, 32, 64 and 128 wide, with batch norm, pooling after each pair.

    After K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image
    recognition" (2014), at a size for small images, with the batch norm that came later.
    """
    layers = [_normalize(dataset)]
    for pair, (narrow, wide) in enumerate(pairwise((dataset.channels, 32, 64, 128))):
        layers += _conv_bn_relu(2 * pair + 1, narrow, wide)
        layers += _conv_bn_relu(2 * pair + 2, wide, wide)
        layers.append((f"pool{2 * pair + 2}", nn.MaxPool2d(2)))
    return _sequence([*layers, *_gap_head(128, len(dataset.classes), dropout)])


def resnet_20(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """Nine residual blocks of 16, 32 and 64 channels: twenty layers.

    After K. He and others, "Deep residual learning for image recognition" (2015), section 4.2,
    with 1x1 convolutions where the shape changes.
    """
    widths = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64)
    blocks = [(f"block{n}", Residual(*w)) for n, w in enumerate(pairwise(widths), start=1)]
    return _sequence(
        [
            _normalize(dataset),
            *_conv_bn_relu(1, dataset.channels, 16),
            *blocks,
            *_gap_head(64, len(dataset.classes), dropout),
        ]
    )


def small_cnn(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """Convolutions 32 (5x5, every second pixel) and 32 (3x3), both without padding, 256 units.

    Our own, for runs of a few seconds: pooling at full size took 40 % of the time, and a stride
    in its place learns digits as well; without padding another third of the time is saved.
    """
    side = ((dataset.size - 5) // 2 - 1) // 2
    return _sequence(
        [
            _normalize(dataset),
            ("conv1", nn.Conv2d(dataset.channels, 32, 5, stride=2)),
            ("relu1", nn.ReLU()),
            ("conv2", nn.Conv2d(32, 32, 3)),
            ("pool2", nn.MaxPool2d(2)),
            ("relu2", nn.ReLU()),
            *_hidden_head(32 * side**2, 256, len(dataset.classes), dropout),
        ]
    )


MODELS: dict[str, Callable[..., nn.Sequential]] = {
    "two-conv": two_conv,
    "three-conv": three_conv,
    "three-conv-norm": three_conv_norm,
    "two-conv-dropout": two_conv_dropout,
    "three-conv-wide": three_conv_wide,
    "vgg": vgg,
    "resnet-20": resnet_20,
    "four-conv-norm": four_conv_norm,
    "six-conv-norm": six_conv_norm,
    "tiny-cnn": tiny_cnn,
    "airbench": airbench,
    "airbench-small": airbench_small,
    "small-cnn": small_cnn,
    "airbench-quick": airbench_quick,
}


def register_model(
    function: Callable[[Dataset], nn.Sequential], name: str | None = None
) -> Callable[[Dataset], nn.Sequential]:
    """Add a network of one's own, by default as "package.module:function"; also a decorator."""
    MODELS[name or f"{function.__module__}:{function.__qualname__}"] = function
    return function


def build(name: str, dataset: Dataset, dropout: float | None = None) -> nn.Sequential:
    """Build the network of that name, its weights drawn from torch's global generator.

    `dropout`, in [0, 1), replaces the network's own rate. An unknown name and a function of
    one's own that does not return a network for the data set are a `UserError`.
    """
    if name not in MODELS:
        if ":" in name:
            raise UserError(
                f"The code of the network {name!r} is not loaded. Name it in the environment "
                f"variable CNN_MODELS, as in CNN_MODELS={name}."
            )
        raise UserError(f"There is no network called {name!r}. Choose: {', '.join(MODELS)}.")
    if dropout is not None and not 0 <= dropout < 1:
        raise UserError(f"A dropout rate of {dropout} is impossible. Choose from 0 to below 1.")
    options = {} if dropout is None else {"dropout": dropout}
    if ":" in name:
        return _build_custom(name, dataset, options)
    return MODELS[name](dataset, **options)


def _build_custom(name: str, dataset: Dataset, options: dict[str, float]) -> nn.Sequential:
    """Build a network of somebody's own and check what it returns."""
    shape = dataset.channels, dataset.size, dataset.size
    try:
        network = MODELS[name](dataset, **options)
        if not isinstance(network, nn.Sequential):
            raise TypeError(f"it returns {type(network).__name__} and not nn.Sequential")
        with torch.no_grad():
            logits = copy.deepcopy(network).eval()(torch.zeros(2, *shape))
        if logits.shape != (2, len(dataset.classes)):
            raise ValueError(f"its logits have the shape {tuple(logits.shape)}")
    except Exception as error:  # whatever somebody's code raises
        raise UserError(
            f"The network {name!r} cannot be built for {dataset.title} ({error}). It must be a "
            f"function of a Dataset to an nn.Sequential from (N, {', '.join(map(str, shape))}) "
            f"to (N, {len(dataset.classes)})."
        ) from error
    return network


def init_whitening(network: nn.Sequential, images: Tensor) -> None:
    """Initialize a network's whitening layer, if it has one, from training images.

    `images` is float32 (N, C, H, W) in [0, 1]; a few hundred are enough.
    """
    for index, layer in enumerate(network):
        if isinstance(layer, Whitening):
            layer.init_from(network[:index](images))
            return


def count_parameters(network: nn.Module) -> int:
    """Count the parameters of a network, frozen ones included."""
    return sum(parameter.numel() for parameter in network.parameters())
