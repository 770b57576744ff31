"""Layers that torch does not have."""

import torch
from torch import Tensor, nn
from torch.nn import functional

COLOR_SIDE = 32


class Normalize(nn.Module):
    """Normalizes images in [0, 1] to zero mean and unit deviation per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Scale(nn.Module):
    """Multiplies by a constant, so that training starts with small logits."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factor


class ToColor32(nn.Module):
    """Resizes images of one or three channels and any size to (N, 3, 32, 32)."""

    def forward(self, images: Tensor) -> Tensor:
        images = images.expand(-1, 3, -1, -1)
        if images.shape[-1] == COLOR_SIDE:
            return images
        return functional.interpolate(
            images, COLOR_SIDE, mode="bilinear", align_corners=False, antialias=True
        )


class Whitening(nn.Conv2d):
    """A fixed first convolution that whitens 3x3 patches.

    Its filters are the principal components of the training images' patches, each divided by its
    deviation, and their negatives; `init_from` computes them. `components` keeps those with the
    largest variance; by default all 9 x `channels`. Nothing is trained, so that the next layer
    needs no gradient of its input. After Coates, Ng and Lee (2011) and D. Page, "How to train
    your ResNet" (2019), whose bias is trained.
    """

    def __init__(self, channels: int, stride: int = 1, components: int | None = None):
        count = min(components or 9 * channels, 9 * channels)
        super().__init__(channels, 2 * count, 3, stride)
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.requires_grad_(False)

    @torch.no_grad()
    def init_from(self, images: Tensor) -> None:
        """Compute the filters from normalized images, float32 (N, C, H, W)."""
        patches = functional.unfold(images, 3).transpose(1, 2).flatten(0, 1)
        variances, components = torch.linalg.eigh(torch.cov(patches.T))
        scaled = components.T / (variances + 5e-4).sqrt().unsqueeze(1)
        filters = scaled.flip(0).view(-1, *self.weight.shape[1:])[: self.out_channels // 2]
        self.weight.copy_(torch.cat([filters, -filters]))


class Residual(nn.Module):
    """Two 3x3 convolutions whose output is added to their input (He et al., 2015).

    Where the width changes, the size is halved and a 1x1 convolution gives the input the same
    shape.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        stride = 1 if in_channels == out_channels else 2
        self.main = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Sequential()
        if in_channels != out_channels:
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out_channels))

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.main(images) + self.shortcut(images))


BLOCKS = (nn.Sequential, Residual)
