"""Random changes of training images, a batch at a time, so that no two epochs are the same.

Each function takes float (N, C, H, W) in [0, 1] and a `torch.Generator` on the CPU, and returns
the same shape, dtype and range; the same generator state gives the same images.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional


def flip(images: Tensor, mask: Tensor) -> Tensor:
    """Flip the images where `mask`, bool (N,), is set, left to right."""
    return torch.where(mask.view(-1, 1, 1, 1), images.flip(-1), images)


def _uniform(low: float, high: float, shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def translate(images: Tensor, generator: Generator, max_shift: int = 4) -> Tensor:
    """Translate each image by up to `max_shift` whole pixels, its edge reflected into the gap."""
    count, channels, height, width = images.shape
    padded = functional.pad(images, (max_shift,) * 4, mode="reflect")
    down, right = torch.randint(0, 2 * max_shift + 1, (2, count), generator=generator)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, down, right, H, W), a view
    down, right = down.to(images.device), right.to(images.device)
    return windows[torch.arange(count, device=images.device), :, down, right]


def translate_2(images: Tensor, generator: Generator) -> Tensor:
    """Translate each image by up to 2 whole pixels, for short runs."""
    return translate(images, generator, max_shift=2)


def cutout(images: Tensor, generator: Generator) -> Tensor:
    """Grey out a square of 3/8 of the side at a random position (DeVries and Taylor, 2017)."""
    count, channels, height, width = images.shape
    side = height * 3 // 8
    top = torch.randint(0, height - side + 1, (count, 1), generator=generator)
    left = torch.randint(0, width - side + 1, (count, 1), generator=generator)
    rows, columns = torch.arange(height), torch.arange(width)
    inside_rows = (rows >= top) & (rows < top + side)
    inside_columns = (columns >= left) & (columns < left + side)
    hole = inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)
    grey = images.mean((0, 2, 3), keepdim=True)
    return torch.where(hole.unsqueeze(1).to(images.device), grey, images)


def affine(images: Tensor, generator: Generator) -> Tensor:
    """Rotate by up to 12 degrees, scale by a seventh, shear by a quarter, translate by 2 pixels."""
    count, side = len(images), images.shape[-1]
    angle = _uniform(-math.pi / 15, math.pi / 15, (count,), generator)
    scale_x, scale_y = _uniform(0.86, 1.14, (2, count), generator)
    shear = _uniform(-0.25, 0.25, (count,), generator)
    shift_x, shift_y = _uniform(-4 / side, 4 / side, (2, count), generator)
    cosine, sine = angle.cos(), angle.sin()
    rows = torch.stack(
        [
            torch.stack([cosine * scale_x, (shear * cosine - sine) * scale_y, shift_x], 1),
            torch.stack([sine * scale_x, (shear * sine + cosine) * scale_y, shift_y], 1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
    return _resample(images, grid)


def elastic(images: Tensor, generator: Generator) -> Tensor:
    """Deform each image by a smooth random field (Simard, Steinkraus and Platt, 2003)."""
    count, _, height, width = images.shape
    knots = torch.randn((count, 2, 5, 5), generator=generator) * 0.06
    field = functional.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
    still = functional.affine_grid(
        torch.eye(2, 3).unsqueeze(0), [1, 1, height, width], align_corners=False
    )
    return _resample(images, still + field.permute(0, 2, 3, 1))


def _resample(images: Tensor, grid: Tensor, outside: str = "zeros") -> Tensor:
    moved = functional.grid_sample(
        images.float(), grid.to(images.device), padding_mode=outside, align_corners=False
    )
    return moved.to(images.dtype)


def erode_dilate(images: Tensor, generator: Generator) -> Tensor:
    """Erode each digit by up to 0.5 or dilate it by up to 0.7 pixels on either side."""
    amount = _uniform(-0.5, 0.7, (len(images), 1, 1, 1), generator).to(images.device)
    thicker = functional.max_pool2d(images, 3, stride=1, padding=1)
    thinner = -functional.max_pool2d(-images, 3, stride=1, padding=1)
    changed = torch.where(amount > 0, thicker, thinner).to(images.dtype)
    return torch.lerp(images, changed, amount.abs().to(images.dtype))


def color_jitter(images: Tensor, generator: Generator) -> Tensor:
    """Change brightness, contrast and saturation by up to a quarter each."""
    shape = (len(images), 1, 1, 1)
    brightness, contrast, saturation = (
        _uniform(0.75, 1.25, shape, generator).to(images) for _ in range(3)
    )
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey.expand_as(images), images, saturation)
    mean = grey.mean((2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, contrast).mul(brightness).clamp(0, 1)


def resized_crop(images: Tensor, generator: Generator) -> Tensor:
    """Crop a window of each image, 0.7 to 1.1 of its side and up to 3:2, resized to a square."""
    count = len(images)
    side = _uniform(0.7, 1.1, (count,), generator)
    aspect = _uniform(-0.2, 0.2, (count,), generator).exp()
    half = torch.stack([side * aspect, side / aspect], 1)
    middle = _uniform(-1, 1, (count, 2), generator) * (1 - half).clamp(min=0)
    grid = functional.affine_grid(
        torch.cat([torch.diag_embed(half), middle.unsqueeze(2)], 2),
        list(images.shape),
        align_corners=False,
    )
    return _resample(images, grid, outside="reflection")


def blur(images: Tensor, generator: Generator) -> Tensor:
    """Blur each image by up to a Gaussian of one pixel."""
    amount = _uniform(0, 1, (len(images), 1, 1, 1), generator).to(images)
    channels = images.shape[1]
    bell = torch.exp(-torch.arange(-2.0, 3.0).square() / 2).to(images)
    kernel = (torch.outer(bell, bell) / bell.sum() ** 2).expand(channels, 1, 5, 5)
    padded = functional.pad(images, (2,) * 4, mode="reflect")
    blurred = functional.conv2d(padded, kernel, groups=channels).clamp(0, 1)
    return torch.lerp(images, blurred, amount)


def jpeg(images: Tensor, generator: Generator) -> Tensor:
    """Quantize the frequencies of 4x4 blocks, the high ones most, as JPEG does to large images."""
    count, channels, height, width = images.shape
    index = torch.arange(4.0)
    wave = torch.cos(math.pi / 4 * (index + 0.5) * index.unsqueeze(1)) / math.sqrt(2)
    wave[0] /= math.sqrt(2)
    steps = 0.02 + 0.03 * (index + index.unsqueeze(1))
    strength = _uniform(0.2, 2, (count, 1, 1, 1, 1, 1), generator)
    wave, steps = wave.to(images.device), (strength * steps).to(images.device)
    blocks = images.float().view(count, channels, height // 4, 4, width // 4, 4).transpose(3, 4)
    rounded = (wave @ blocks @ wave.T / steps).round() * steps
    blocks = (wave.T @ rounded @ wave).transpose(3, 4)
    return blocks.reshape(images.shape).clamp(0, 1).to(images.dtype)


def degrade(images: Tensor, generator: Generator) -> Tensor:
    """Degrade some images as cameras and websites do: crop, colour jitter, blur and JPEG."""
    images = images.contiguous().clone()
    for change, probability in ((resized_crop, 0.3), (color_jitter, 0.2), (blur, 0.1), (jpeg, 0.1)):
        chosen = torch.rand(len(images), generator=generator) < probability
        if chosen.any():
            images[chosen] = change(images[chosen], generator)
    return images


def zoom(images: Tensor, generator: Generator) -> Tensor:
    """Crop each image to 0.6 of its side or shrink it to half, and rotate it by up to 12 degrees.

    What lies outside becomes a reflection, a continued edge, white, black or one colour.
    """
    count, channels = images.shape[:2]
    side = _uniform(math.log(0.6), math.log(2), (count,), generator).exp()
    aspect = _uniform(-0.25, 0.25, (count,), generator).exp()
    angle = torch.randn((count,), generator=generator).clamp(-2, 2) * (math.pi / 30)
    half = torch.stack([side * aspect, side / aspect], 1)
    middle = _uniform(-1, 1, (count, 2), generator) * (1 - half).abs() * 0.9
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    grid = functional.affine_grid(
        torch.cat([turn * half.unsqueeze(1), middle.unsqueeze(2)], 2),
        list(images.shape),
        align_corners=False,
    )
    inside = (grid.abs() <= 1).all(-1).unsqueeze(1).to(images.device)
    fine = (side < 1.4).view(-1, 1, 1, 1).to(images.device)
    source = torch.where(fine, images, _smoothed(images))
    reflected = _resample(source, grid, outside="reflection")
    continued = _resample(source, grid, outside="border")
    paint = torch.rand((count, channels, 1, 1), generator=generator)
    kind = torch.randint(0, 10, (count, 1, 1, 1), generator=generator)
    paint = torch.where(kind < 7, torch.ones(1), paint)
    paint = torch.where(kind == 7, torch.zeros(1), paint).to(images)
    plain = torch.where(inside, continued, paint)
    kind = kind.to(images.device)
    filled = torch.where(kind < 3, reflected, continued)
    return torch.where(kind < 5, filled, plain)


def _smoothed(images: Tensor) -> Tensor:
    return functional.avg_pool2d(functional.pad(images, (1,) * 4, mode="replicate"), 3, stride=1)


def exposure(images: Tensor, generator: Generator) -> Tensor:
    """Darken each image, to a tenth of its pixel values at most, and add a sensor's noise."""
    shape = (len(images), 1, 1, 1)
    gain = _uniform(math.log(0.1), 0, shape, generator).exp().to(images)
    noise = torch.randn(images.shape, generator=generator).to(images)
    amount = _uniform(0, 0.008, shape, generator).to(images)
    dark = images * gain + noise * amount
    return dark.mul(255).round().div(255).clamp(0, 1)


def color_cast(images: Tensor, generator: Generator) -> Tensor:
    """Multiply each channel by 0.7 to 1.4; turn a third of the images grey instead."""
    count, channels = images.shape[:2]
    gain = _uniform(math.log(0.7), math.log(1.4), (count, channels, 1, 1), generator).exp()
    grey = torch.rand((count, 1, 1, 1), generator=generator) < 1 / 3
    mean = images.mean(1, keepdim=True).expand_as(images)
    return torch.where(grey.to(images.device), mean, (images * gain.to(images)).clamp(0, 1))


def contrast(images: Tensor, generator: Generator) -> Tensor:
    """Change each image's contrast by up to a half, and its gamma from 0.6 to 1.7."""
    shape = (len(images), 1, 1, 1)
    gamma = _uniform(math.log(0.6), math.log(1.7), shape, generator).exp().to(images)
    amount = _uniform(0.5, 1.5, shape, generator).to(images)
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, amount).clamp(0, 1) ** gamma


def sharpness(images: Tensor, generator: Generator) -> Tensor:
    """Sharpen or soften each image, as other filters for downscaling do."""
    amount = _uniform(-1, 1.5, (len(images), 1, 1, 1), generator).to(images)
    soft = _smoothed(images)
    return (soft + (1 + amount) * (images - soft)).clamp(0, 1)


def downscale(images: Tensor, generator: Generator) -> Tensor:
    """Bring all images to 12 to 28 pixels a side and back, by one of several filters."""
    side = images.shape[-1]
    small = int(torch.randint(12, 29, (), generator=generator))
    down = ("area", "bilinear", "nearest")[int(torch.randint(0, 3, (), generator=generator))]
    up = ("nearest", "bilinear", "bicubic")[int(torch.randint(0, 3, (), generator=generator))]
    images = functional.interpolate(images, small, mode=down)
    return functional.interpolate(images, side, mode=up).clamp(0, 1)


def photo(images: Tensor, generator: Generator) -> Tensor:
    """Give half of the images what real photographs have and CIFAR-10 has not.

    Objects small in the frame, hard crops, borders, other downscaling, colour casts, JPEG's
    artefacts and little light, several of them at once.
    """
    images = images.contiguous().clone()
    untouched = torch.rand(len(images), generator=generator) < 1 / 2
    for change, probability in (
        (zoom, 0.4),
        (downscale, 0.1),
        (blur, 0.1),
        (sharpness, 0.15),
        (contrast, 0.2),
        (color_jitter, 0.2),
        (color_cast, 0.25),
        (jpeg, 0.15),
        (exposure, 0.2),
    ):
        chosen = (torch.rand(len(images), generator=generator) < probability) & ~untouched
        if chosen.any():
            images[chosen] = change(images[chosen], generator)
    return images


AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "translate-4": translate,
    "translate-2": translate_2,
    "cutout": cutout,
    "affine": affine,
    "elastic": elastic,
    "erode-dilate": erode_dilate,
    "color-jitter": color_jitter,
    "degrade": degrade,
    "photo": photo,
}
