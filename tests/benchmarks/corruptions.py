"""The corruptions of MNIST-C and of CIFAR-10-C at severity 3, drawn anew from their descriptions.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (2019); N. Mu and J. Gilmer, "MNIST-C: a robustness benchmark for computer vision"
(2019). The strengths are theirs where the papers and their tables give them; frost, snow and
spatter are patterns made here in place of photographs: figures are near theirs, not the same.

Each function takes float32 (N, C, H, W) in [0, 1] and a `torch.Generator`, and returns the same.
"""

import io
import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Generator, Tensor
from torch.nn import functional


def _normal(images: Tensor, generator: Generator) -> Tensor:
    return torch.randn(images.shape, generator=generator)


def gaussian_noise(images: Tensor, generator: Generator) -> Tensor:
    return images + 0.08 * _normal(images, generator)


def shot_noise(images: Tensor, generator: Generator, light: float = 100) -> Tensor:
    return torch.poisson(images * light, generator=generator) / light


def faint_shot_noise(images: Tensor, generator: Generator) -> Tensor:
    return shot_noise(images, generator, light=12)


def impulse_noise(images: Tensor, generator: Generator, share: float = 0.03) -> Tensor:
    chance = torch.rand(images.shape, generator=generator)
    return torch.where(chance < share / 2, 0.0, torch.where(chance > 1 - share / 2, 1.0, images))


def much_impulse_noise(images: Tensor, generator: Generator) -> Tensor:
    return impulse_noise(images, generator, share=0.1)


def _filtered(images: Tensor, kernel: Tensor) -> Tensor:
    """Each channel convolved with a kernel (k, k) of odd side, the edge reflected."""
    channels, edge = images.shape[1], kernel.shape[0] // 2
    padded = functional.pad(images, (edge,) * 4, mode="reflect")
    weight = (kernel / kernel.sum()).expand(channels, 1, *kernel.shape)
    return functional.conv2d(padded, weight, groups=channels)


def _bell(deviation: float, reach: int) -> Tensor:
    line = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * deviation**2))
    return torch.outer(line, line)


def defocus_blur(images: Tensor, generator: Generator) -> Tensor:
    place = torch.arange(-2.0, 3.0)
    disc = (place.square() + place.square().unsqueeze(1) <= 0.5**2 + 0.5).float()
    return _filtered(_filtered(images, disc), _bell(0.6, 2))


def glass_blur(images: Tensor, generator: Generator) -> Tensor:
    blurred = _filtered(images, _bell(0.4, 1))
    count, _, height, width = images.shape
    away = torch.randint(-1, 2, (2, count, height, width), generator=generator)
    rows = (away[0] + torch.arange(height).view(-1, 1)).clamp(0, height - 1)
    columns = (away[1] + torch.arange(width)).clamp(0, width - 1)
    chosen = torch.arange(count).view(-1, 1, 1)
    shuffled = blurred.permute(0, 2, 3, 1)[chosen, rows, columns].permute(0, 3, 1, 2)
    return _filtered(shuffled, _bell(0.4, 1))


def motion_blur(images: Tensor, generator: Generator) -> Tensor:
    """Smeared along a line within 45 degrees of level, fading from where it began."""
    turn = (torch.rand(len(images), 1, generator=generator) - 0.5) * math.pi / 2
    mixed, total = torch.zeros_like(images), 0.0
    for step in range(7):
        weight = math.exp(-(step**2) / (2 * 2.0**2))
        along = torch.cat([turn.cos(), turn.sin()], 1) * step * 2 / images.shape[-1]
        mixed += weight * _moved(images, torch.eye(2).expand(len(images), 2, 2), along)
        total += weight
    return mixed / total


def _moved(images: Tensor, matrices: Tensor, away: Tensor, outside: str = "border") -> Tensor:
    """Resampled through matrices (N, 2, 2) and moves (N, 2), both in halves of the picture."""
    grid = functional.affine_grid(
        torch.cat([matrices, away.unsqueeze(2)], 2), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode=outside, align_corners=False)


def zoom_blur(images: Tensor, generator: Generator) -> Tensor:
    still = torch.zeros(len(images), 2)
    factors = [1 + step / 100 for step in range(16)]
    zoomed = [_moved(images, (torch.eye(2) / f).expand(len(images), 2, 2), still) for f in factors]
    return (images + sum(zoomed)) / (len(zoomed) + 1)


def _clouds(images: Tensor, generator: Generator, roughness: float) -> Tensor:
    """Plasma (N, 1, H, W) in [0, 1]: noise of every size, the finer the fainter."""
    count, _, height, width = images.shape
    total = torch.zeros(count, 1, height, width)
    for octave in range(5):
        grains = torch.rand((count, 1, 2**octave + 1, 2**octave + 1), generator=generator)
        total += functional.interpolate(
            grains, (height, width), mode="bilinear", align_corners=True
        ) / roughness ** (octave + 1)
    low, high = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - low) / (high - low)


def fog(images: Tensor, generator: Generator) -> Tensor:
    brightest = images.amax((1, 2, 3), keepdim=True)
    return (images + 0.75 * _clouds(images, generator, 2.5)) * brightest / (brightest + 0.75)


def snow(images: Tensor, generator: Generator) -> Tensor:
    """Flakes blown along a slope, over a picture that has become paler."""
    flakes = 0.15 + 0.3 * torch.randn((len(images), 1, *images.shape[2:]), generator=generator)
    flakes = motion_blur((flakes * (flakes > 0.55)).clamp(0, 1), generator)
    grey = images.mean(1, keepdim=True)
    paler = 0.9 * images + 0.1 * torch.maximum(images, grey * 1.5 + 0.5)
    return paler + flakes + flakes.flip((2, 3))


def frost(images: Tensor, generator: Generator) -> Tensor:
    """Needles of ice: where two clouds meet, in place of the authors' photographs."""
    ice = (_clouds(images, generator, 1.3) - _clouds(images, generator, 1.3)).abs()
    return 0.9 * images + 0.4 * (1 - 4 * ice).clamp(0, 1)


def _brighter(images: Tensor, by: float) -> Tensor:
    """The greatest channel raised, hue and saturation kept."""
    value = images.amax(1, keepdim=True)
    return images * (value + by).clamp(max=1) / value.clamp(min=1 / 255)


def brightness(images: Tensor, generator: Generator) -> Tensor:
    return _brighter(images, 0.15)


def brighter_paper(images: Tensor, generator: Generator) -> Tensor:
    return images + 0.4


def contrast(images: Tensor, generator: Generator) -> Tensor:
    return torch.lerp(images.mean((2, 3), keepdim=True).expand_as(images), images, 0.4)


def elastic_transform(images: Tensor, generator: Generator) -> Tensor:
    count, _, height, width = images.shape
    field = torch.rand((count, 2, height, width), generator=generator) * 2 - 1
    field = _filtered(field, _bell(0.03 * height, 3)) * 0.08 * 2
    still = functional.affine_grid(
        torch.eye(2, 3).unsqueeze(0), [1, 1, height, width], align_corners=False
    )
    grid = still + field.permute(0, 2, 3, 1)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def pixelate(images: Tensor, generator: Generator) -> Tensor:
    smaller = functional.interpolate(images, scale_factor=0.85, mode="area")
    return functional.interpolate(smaller, images.shape[2:], mode="nearest")


def jpeg_compression(images: Tensor, generator: Generator) -> Tensor:
    return torch.stack([_through_jpeg(image) for image in images])


def _through_jpeg(image: Tensor) -> Tensor:
    file = io.BytesIO()
    pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=58)
    return torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1) / 255


def _about(images: Tensor, generator: Generator) -> Tensor:
    """A sign for each picture, (N, 1, 1)."""
    return torch.randint(0, 2, (len(images), 1, 1), generator=generator) * 2.0 - 1


def shear(images: Tensor, generator: Generator) -> Tensor:
    slant = torch.tensor([[0.0, 0.4], [0.0, 0.0]]) * _about(images, generator)
    return _moved(images, torch.eye(2) + slant, torch.zeros(len(images), 2), "zeros")


def scale(images: Tensor, generator: Generator) -> Tensor:
    larger = (torch.eye(2) / 0.7).expand(len(images), 2, 2)
    return _moved(images, larger, torch.zeros(len(images), 2), "zeros")


def rotate(images: Tensor, generator: Generator) -> Tensor:
    angle = math.radians(30) * _about(images, generator)
    rows = torch.cat([angle.cos(), -angle.sin()], 2), torch.cat([angle.sin(), angle.cos()], 2)
    return _moved(images, torch.cat(rows, 1), torch.zeros(len(images), 2), "zeros")


def translate(images: Tensor, generator: Generator) -> Tensor:
    away = torch.cat([_about(images, generator), _about(images, generator)], 1).squeeze(2) * 0.25
    return _moved(images, torch.eye(2).expand(len(images), 2, 2), away, "zeros")


def stripe(images: Tensor, generator: Generator) -> Tensor:
    """The middle columns are inverted."""
    inverted = images.clone()
    inverted[..., 10:18] = 1 - images[..., 10:18]
    return inverted


def spatter(images: Tensor, generator: Generator) -> Tensor:
    """Blots of ink."""
    drops = torch.randn((len(images), 1, *images.shape[2:]), generator=generator)
    blots = _filtered(drops, _bell(1.0, 3))
    return images + ((blots - 0.35) * 5).clamp(0, 1)


def _with_lines(images: Tensor, generator: Generator, draw) -> Tensor:
    random = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    drawn = []
    for _ in images:
        paper = Image.new("L", (112, 112))
        draw(ImageDraw.Draw(paper), random.uniform(8, 104, 2))
        drawn.append(np.asarray(paper.resize((28, 28), Image.Resampling.BOX)))
    return images + torch.from_numpy(np.stack(drawn)).unsqueeze(1) / 255


def dotted_line(images: Tensor, generator: Generator) -> Tensor:
    def draw(pen: ImageDraw.ImageDraw, heights: np.ndarray) -> None:
        for x in range(0, 112, 12):
            y = heights[0] + (heights[1] - heights[0]) * x / 112
            pen.rectangle((x, y, x + 4, y + 4), fill=255)

    return _with_lines(images, generator, draw)


def zigzag(images: Tensor, generator: Generator) -> Tensor:
    def draw(pen: ImageDraw.ImageDraw, heights: np.ndarray) -> None:
        points = [
            (x, heights[0] + (heights[1] - heights[0]) * x / 112 + 8 * (-1) ** turn)
            for turn, x in enumerate(range(0, 124, 12))
        ]
        pen.line(points, fill=255, width=4)

    return _with_lines(images, generator, draw)


def canny_edges(images: Tensor, generator: Generator) -> Tensor:
    """Only the outline: where the slope is steepest across itself."""
    smooth = functional.pad(_filtered(images, _bell(1.0, 3)), (1,) * 4, mode="replicate")
    across = smooth[..., 1:-1, 2:] - smooth[..., 1:-1, :-2]
    down = smooth[..., 2:, 1:-1] - smooth[..., :-2, 1:-1]
    slope = (across.square() + down.square()).sqrt()
    sideways = functional.max_pool2d(slope, (1, 3), 1, (0, 1))
    upright = functional.max_pool2d(slope, (3, 1), 1, (1, 0))
    ridge = torch.where(across.abs() > down.abs(), sideways, upright)
    return ((slope == ridge) & (slope > 0.2)).float()


MNIST_C = (
    faint_shot_noise,
    much_impulse_noise,
    glass_blur,
    motion_blur,
    shear,
    scale,
    rotate,
    brighter_paper,
    translate,
    stripe,
    fog,
    spatter,
    dotted_line,
    zigzag,
    canny_edges,
)
CIFAR10_C = (
    gaussian_noise,
    shot_noise,
    impulse_noise,
    defocus_blur,
    glass_blur,
    motion_blur,
    zoom_blur,
    snow,
    frost,
    fog,
    brightness,
    contrast,
    elastic_transform,
    pixelate,
    jpeg_compression,
)
