"""The layers that torch does not have, of which some networks are made."""

import torch
from torch import Tensor, nn
from torch.nn import functional

COLOR_SIDE = 32


class Normalize(nn.Module):
    """Bring pictures in [0, 1] to zero mean and unit deviation, a channel each."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Scale(nn.Module):
    """Multiply by a constant, to begin with answers that are not too sure."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factor


class ToColor32(nn.Module):
    """Bring pictures of any size and of one channel or three to (N, 3, 32, 32)."""

    def forward(self, images: Tensor) -> Tensor:
        images = images.expand(-1, 3, -1, -1)
        if images.shape[-1] == COLOR_SIDE:
            return images
        return functional.interpolate(
            images, COLOR_SIDE, mode="bilinear", align_corners=False, antialias=True
        )


class Whitening(nn.Conv2d):
    """A first convolution that no training has to find: it evens out the colours and edges.

    Its filters are the principal components of the training pictures' 3x3 patches, each divided
    by its deviation, and their negatives; `prepare` computes them. Only its bias learns, which is
    worth 0.3 points of one epoch on CIFAR-10 and costs a sixth of the speed.
    After Coates, Ng and Lee (2011) and D. Page, "How to train your ResNet" (2019).
    """

    def __init__(self, channels: int, stride: int = 1):
        super().__init__(channels, 2 * 9 * channels, 3, stride)
        nn.init.zeros_(self.bias)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Take the filters from normalised pictures, float32 (N, C, H, W)."""
        patches = functional.unfold(images, 3).transpose(1, 2).flatten(0, 1)
        variances, components = torch.linalg.eigh(torch.cov(patches.T))
        scaled = components.T / (variances + 5e-4).sqrt().unsqueeze(1)
        filters = scaled.flip(0).view(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([filters, -filters]))


class Residual(nn.Module):
    """Two 3x3 convolutions whose answer is added to what went in (He et al., 2015).

    Where the width changes the size is halved, and a 1x1 convolution brings what went in to
    the same shape.
    """

    def __init__(self, before: int, after: int):
        super().__init__()
        stride = 1 if before == after else 2
        self.main = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential()
        if before != after:
            self.shortcut.append(nn.Conv2d(before, after, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(after))

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.main(images) + self.shortcut(images))


BLOCKS = (nn.Sequential, Residual)
