"""Charts as images: confusion matrix, reliability diagram, curves, heat map, rows of images.

Their background is transparent, for light and dark pages.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnn.evaluation.metrics import Reliability
from cnn.interpret.layers import Box
from cnn.plots.colormaps import GREY, ORANGE, WHITE, contrast_color, sequential

CELL = 84  # pixels, of a confusion matrix
SIZE = 8, 5.6  # hundreds of pixels, of a chart
AXES = 0.13, 0.16, 0.84, 0.8  # left, bottom, width and height, as fractions of it
TILE, GAP = 100, 6  # pixels, of an image in a row
CORRECT_CELL = (74, 77, 84)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def confusion(counts: Tensor, classes: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix: counts by true class (row) and predicted class (column), int64.

    Correct predictions are grey along the diagonal; the more frequent a mistake, the brighter.
    """
    side = _label_width(classes)
    image = Image.new("RGBA", (side + CELL * len(classes),) * 2)
    pen, font = ImageDraw.Draw(image), _font(28)
    wrong = counts - counts.diagonal().diag()
    colors = sequential(wrong.float().sqrt(), 0, max(wrong.max().item(), 1) ** 0.5).tolist()
    for row, name in enumerate(classes):
        middle = round(side + (row + 0.5) * CELL)
        pen.text((side - 14, middle), name, GREY, font, "rm")
        _rotated_label(image, name, (middle, side - 12), font)
        for column, count in enumerate(counts[row].tolist()):
            x, y = side + column * CELL, side + row * CELL
            color = CORRECT_CELL if row == column else tuple(colors[row][column])
            pen.rectangle((x, y, x + CELL - 3, y + CELL - 3), color)
            if count:
                center = x + CELL / 2 - 1, y + CELL / 2 - 1
                pen.text(center, str(count), contrast_color(color), font, "mm")
    return image


def _label_width(classes: Sequence[str]) -> int:
    """Return the pixels that class names need at the left and the top of a confusion matrix."""
    return max(round(_font(28).getlength(name)) for name in classes) + 30


def _rotated_label(image: Image.Image, name: str, foot: tuple[int, int], font: Font) -> None:
    """Write a name upwards, or level if it is a single character."""
    pen = ImageDraw.Draw(image)
    if len(name) == 1:
        pen.text(foot, name, GREY, font, "mb")
        return
    label = Image.new("RGBA", (round(pen.textlength(name, font)) + 2, 36))
    ImageDraw.Draw(label).text((0, 18), name, GREY, font, "lm")
    label = label.rotate(90, expand=True)
    image.paste(label, (foot[0] - 18, foot[1] - label.height), label)


def reliability(diagram: Reliability) -> Image.Image:
    """Draw a reliability diagram: accuracy by confidence; on the dashed line both are equal.

    The fewer images a bar stands for, the paler it is.
    """
    figure, axes = _axes("confidence, %", "accuracy, %")
    bins, most = len(diagram.counts), max(diagram.counts.max().item(), 1)
    for index, (count, _, accuracy) in enumerate(zip(*map(Tensor.tolist, diagram), strict=True)):
        strength = 0.25 + 0.75 * math.log1p(count) / math.log1p(most)
        middle = 100 * (index + 0.5) / bins
        axes.bar(middle, 100 * accuracy, 88 / bins, color=(*_fractions(ORANGE), strength))
    axes.plot([0, 100], [0, 100], color=_fractions(GREY), linestyle="--", linewidth=2)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    return _to_image(figure)


def plot_metric(
    axes: Axes, rows: Sequence[Mapping[str, Any]], by: str, measure: str, factor: float = 1
) -> None:
    """Plot a measure, "loss" or "accuracy", of both splits by "epoch" or "step" on given axes."""
    for split, name, color, style in (
        ("train", "training", GREY, "--"),
        ("validation", "validation", ORANGE, "-"),
    ):
        known = [row for row in rows if row[f"{split}_{measure}"] is not None]
        positions = [row[by] for row in known]
        values = [factor * row[f"{split}_{measure}"] for row in known]
        axes.plot(positions, values, style, color=_fractions(color), linewidth=3, label=name)
        axes.plot(positions[-1:], values[-1:], "o", color=_fractions(color), markersize=8)


def heat_map(rows: Mapping[str, tuple[float, ...]], classes: tuple[str, ...]) -> Image.Image:
    """Draw probabilities in [0, 1] as a heat map with a row per network and a column per class."""
    cell, side, head = (84, 40), 240, 36
    size = side + cell[0] * len(classes), head + cell[1] * len(rows)
    image = Image.new("RGB", size, (24, 25, 28))
    pen, font = ImageDraw.Draw(image), _font(15)
    for column, name in enumerate(classes):
        pen.text((side + (column + 0.5) * cell[0], head / 2), name, GREY, font, "mm")
    for row, (name, probabilities) in enumerate(rows.items()):
        top = head + row * cell[1]
        pen.text((10, top + cell[1] / 2), name, (220, 220, 220), font, "lm")
        colors = sequential(torch.tensor(probabilities), 0, 1).tolist()
        for column, (probability, color) in enumerate(zip(probabilities, colors, strict=True)):
            left = side + column * cell[0]
            pen.rectangle((left, top, left + cell[0] - 2, top + cell[1] - 2), tuple(color))
            center = left + cell[0] / 2, top + cell[1] / 2
            pen.text(center, f"{probability:.3f}", contrast_color(color), font, "mm")
    return image


def captioned_grid(images: Tensor, captions: Sequence[tuple[str, str]]) -> Image.Image:
    """Draw images uint8 (N, C, H, W) in rows, two lines under each: label and prediction."""
    columns, (wide, tall) = 6, (150, 200)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGBA", (columns * wide, max(rows, 1) * tall))
    pen, font = ImageDraw.Draw(sheet), _font(18)
    for index, (image, (label, prediction)) in enumerate(zip(images, captions, strict=True)):
        x, y = index % columns * wide, index // columns * tall
        sheet.paste(thumbnail(image, wide - 10), (x, y))
        pen.text((x, y + wide - 4), label, GREY, font, "la")
        pen.text((x, y + wide + 18), prediction, ORANGE, font, "la")
    return sheet


def strip(images: Tensor, boxes: Sequence[Box]) -> Image.Image:
    """Draw images uint8 (N, C, H, W) side by side, each with a box in its own pixels."""
    sheet = Image.new("RGBA", (len(images) * (TILE + GAP) - GAP, TILE))
    for index, (image, box) in enumerate(zip(images, boxes, strict=True)):
        top, left, height, width = (side * TILE / images.shape[3] for side in box)
        tile = thumbnail(image, TILE).convert("RGB")
        pen = ImageDraw.Draw(tile)
        pen.rectangle((left - 1, top - 1, left + width, top + height), None, (0, 0, 0), 4)
        pen.rectangle((left, top, left + width - 1, top + height - 1), None, WHITE[:3], 2)
        sheet.paste(tile, (index * (TILE + GAP), 0))
    return sheet


def thumbnail(image: Tensor, side: int | None = None) -> Image.Image:
    """Convert an image uint8 (C, H, W), enlarged without smoothing to `side` pixels if given."""
    pixels = Image.fromarray(image.permute(1, 2, 0).squeeze(2).contiguous().numpy())
    return pixels.resize((side, side), Image.Resampling.NEAREST) if side else pixels


def _axes(x_name: str, y_name: str) -> tuple[Figure, Axes]:
    """Make axes with names and a grid, in grey on a transparent background."""
    grey = _fractions(GREY)
    figure = Figure(figsize=SIZE, facecolor="none")
    axes = figure.add_axes(AXES)
    axes.set_facecolor("none")
    axes.set_xlabel(x_name, color=grey, fontsize=18)
    axes.set_ylabel(y_name, color=grey, fontsize=18)
    axes.tick_params(length=0, labelcolor=grey, labelsize=18)
    axes.grid(axis="y", color=grey, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    return figure, axes


def _fractions(color: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(part / 255 for part in color[:3])


def _to_image(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba()))


def _font(size: int) -> Font:
    return ImageFont.load_default(size)
