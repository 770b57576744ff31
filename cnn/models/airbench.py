"""Networks after airbench: accurate on CIFAR-10 after few epochs.

K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024).
"""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from cnn.data.datasets import Dataset
from cnn.models.layers import Normalize, Scale, Whitening


def _dirac_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Build a 3x3 convolution whose first filters start as the identity of their channel."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[:in_channels])
    return conv


def _batch_norm_without_scale(width: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(width, momentum=0.3)
    norm.weight.requires_grad_(False)
    return norm


def _double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    norms = [_batch_norm_without_scale(out_channels) for _ in range(2)]
    return nn.Sequential(
        *(_dirac_conv(in_channels, out_channels), nn.MaxPool2d(2), norms[0], nn.GELU()),
        *(_dirac_conv(out_channels, out_channels), norms[1], nn.GELU()),
    )


def _airbench(
    dataset: Dataset, whitening: Whitening, widths: tuple[int, ...], dropout: float
) -> nn.Sequential:
    blocks = pairwise((whitening.out_channels, *widths))
    return nn.Sequential(
        OrderedDict(
            [
                ("normalize", Normalize(dataset.mean, dataset.std)),
                ("whiten", whitening),
                ("gelu", nn.GELU()),
                *((f"block{n}", _double_conv(*b)) for n, b in enumerate(blocks, start=1)),
                ("pool", nn.AdaptiveMaxPool2d(1)),
                ("flatten", nn.Flatten()),
                ("dropout", nn.Dropout(dropout)),
                ("scale", Scale(1 / 9)),
                ("dense", nn.Linear(widths[-1], len(dataset.classes), bias=False)),
            ]
        )
    )


def airbench(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """Whitened patches and three blocks of two convolutions: accurate after few epochs.

    After K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (airbench, 2024), with
    3x3 patches instead of 2x2 so that the filters can be looked at.
    """
    return _airbench(dataset, Whitening(dataset.channels), (64, 256, 256), dropout)


def airbench_small(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """`airbench` with 0.6 million weights instead of two: half as wide in its deep layers."""
    return _airbench(dataset, Whitening(dataset.channels), (64, 128, 128), dropout)


def airbench_quick(dataset: Dataset, dropout: float = 0.0) -> nn.Sequential:
    """`airbench` with two narrower blocks, and a stride of 2 and fewer filters in its first layer.

    Our own, for runs of about ten seconds: most time is spent on images at full size, and the
    components left out hold 0.1 % of the variance of CIFAR-10's patches.
    """
    whitening = Whitening(dataset.channels, stride=2, components=16)
    return _airbench(dataset, whitening, (48, 96), dropout)
