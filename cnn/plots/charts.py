"""What is known of a network, drawn: what it takes for what, how surely, and how it learnt.

On a transparent ground, so that each can lie on paper and on graphite.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnn.data.datasets import Split
from cnn.evaluation.metrics import Reliability
from cnn.interpret.layers import Box, LayerSummary
from cnn.plots.colormaps import GREY, ORANGE, WHITE, contrast_color, sequential

CELL = 84  # pixels, of a confusion matrix
SIZE = 8, 5.6  # hundreds of pixels, of a chart
AXES = 0.13, 0.16, 0.84, 0.8  # left, bottom, width and height, in shares of it
TILE, LARGER, GAP = 64, 100, 6  # pixels, of a picture among others
CORRECT_CELL = (74, 77, 84)


def confusion(counts: Tensor, classes: Sequence[str]) -> Image.Image:
    """How many pictures of a class (row) were taken for a class (column), int64 and square.

    What is right stands in grey along the diagonal; a mistake is the brighter the more often.
    """
    side = _beside(classes)
    picture = Image.new("RGBA", (side + CELL * len(classes),) * 2)
    pen, font = ImageDraw.Draw(picture), _font(28)
    wrong = counts - counts.diagonal().diag()
    colors = sequential(wrong.float().sqrt(), 0, max(wrong.max().item(), 1) ** 0.5).tolist()
    for row, name in enumerate(classes):
        middle = round(side + (row + 0.5) * CELL)
        pen.text((side - 14, middle), name, GREY, font, "rm")
        _rotated_label(picture, name, (middle, side - 12), font)
        for column, count in enumerate(counts[row].tolist()):
            x, y = side + column * CELL, side + row * CELL
            color = CORRECT_CELL if row == column else tuple(colors[row][column])
            pen.rectangle((x, y, x + CELL - 3, y + CELL - 3), color)
            if count:
                at = x + CELL / 2 - 1, y + CELL / 2 - 1
                pen.text(at, str(count), contrast_color(color), font, "mm")
    return picture


def cell_at(x: int, y: int, classes: Sequence[str]) -> tuple[int, int] | None:
    """The row and column of a confusion matrix at a pixel; None beside its cells."""
    row, column = ((at - _beside(classes)) // CELL for at in (y, x))
    return (row, column) if 0 <= row < len(classes) and 0 <= column < len(classes) else None


def _beside(classes: Sequence[str]) -> int:
    """Pixels that the names need at the left and at the top of a confusion matrix."""
    return max(round(_font(28).getlength(name)) for name in classes) + 30


def _rotated_label(picture: Image.Image, name: str, foot: tuple[int, int], font) -> None:
    """Write a name from below upwards, or level where it is a single sign."""
    pen = ImageDraw.Draw(picture)
    if len(name) == 1:
        pen.text(foot, name, GREY, font, "mb")
        return
    label = Image.new("RGBA", (round(pen.textlength(name, font)) + 2, 36))
    ImageDraw.Draw(label).text((0, 18), name, GREY, font, "lm")
    label = label.rotate(90, expand=True)
    picture.paste(label, (foot[0] - 18, foot[1] - label.height), label)


def reliability(found: Reliability) -> Image.Image:
    """How often a network is right where it is so sure; on the dashed line it is honest.

    A bar is the paler the fewer pictures it stands for.
    """
    figure, axes = _axes("how sure it is, %", "how often it is right, %")
    bins, most = len(found.counts), max(found.counts.max().item(), 1)
    for number, (count, _, accuracy) in enumerate(zip(*map(Tensor.tolist, found), strict=True)):
        strength = 0.25 + 0.75 * math.log1p(count) / math.log1p(most)
        middle = 100 * (number + 0.5) / bins
        axes.bar(middle, 100 * accuracy, 88 / bins, color=(*_shares(ORANGE), strength))
    axes.plot([0, 100], [0, 100], color=_shares(GREY), linestyle="--", linewidth=2)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    return _picture(figure)


def curves(history: Sequence[Mapping[str, float]], measure: str) -> Image.Image:
    """A measure, "loss" or "accuracy", by epoch: training dashed in grey, validation orange."""
    factor, words = {"loss": (1, "loss"), "accuracy": (100, "right, %")}[measure]
    figure, axes = _axes("epoch", words)
    plot_metric(axes, history, "epoch", measure, factor)
    axes.set_ylim(*((0, None) if measure == "loss" else (None, 100)))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="best", frameon=False, labelcolor="linecolor", fontsize=18)
    return _picture(figure)


def plot_metric(
    axes: Axes, rows: Sequence[Mapping], by: str, measure: str, factor: float = 1
) -> None:
    """Draw a measure, where it was measured, by "epoch" or "step" on axes of somebody's own."""
    for split, name, color, style in (
        ("train", "training", GREY, "--"),
        ("validation", "validation", ORANGE, "-"),
    ):
        known = [row for row in rows if row[f"{split}_{measure}"] is not None]
        places = [row[by] for row in known]
        values = [factor * row[f"{split}_{measure}"] for row in known]
        axes.plot(places, values, style, color=_shares(color), linewidth=3, label=name)
        axes.plot(places[-1:], values[-1:], "o", color=_shares(color), markersize=8)


def heat_map(rows: Mapping[str, tuple[float, ...]], classes: tuple[str, ...]) -> Image.Image:
    """Probabilities in [0, 1], a row a network and a column a class, written into their cells."""
    cell, side, head = (84, 40), 240, 36
    size = side + cell[0] * len(classes), head + cell[1] * len(rows)
    picture = Image.new("RGB", size, (24, 25, 28))
    pen, font = ImageDraw.Draw(picture), _font(15)
    for column, name in enumerate(classes):
        pen.text((side + (column + 0.5) * cell[0], head / 2), name, GREY, font, "mm")
    for row, (name, shares) in enumerate(rows.items()):
        top = head + row * cell[1]
        pen.text((10, top + cell[1] / 2), name, (220, 220, 220), font, "lm")
        colors = sequential(torch.tensor(shares), 0, 1).tolist()
        for column, (share, color) in enumerate(zip(shares, colors, strict=True)):
            left = side + column * cell[0]
            pen.rectangle((left, top, left + cell[0] - 2, top + cell[1] - 2), tuple(color))
            at = left + cell[0] / 2, top + cell[1] / 2
            pen.text(at, f"{share:.3f}", contrast_color(color), font, "mm")
    return picture


def samples(split: Split, classes: Sequence[str], count: int = 12) -> Image.Image:
    """The first pictures of each class in a row, the class's name before them."""
    rows = [split.images[split.labels == label][:count] for label in range(len(classes))]
    side, edge = _beside(classes), TILE + GAP
    sheet = Image.new("RGBA", (side + count * edge - GAP, len(classes) * edge - GAP))
    pen = ImageDraw.Draw(sheet)
    for row, (name, images) in enumerate(zip(classes, rows, strict=True)):
        pen.text((side - 14, row * edge + TILE / 2), name, GREY, _font(28), "rm")
        for column, image in enumerate(images):
            sheet.paste(thumbnail(image, TILE), (side + column * edge, row * edge))
    return sheet


def captioned_grid(images: Tensor, captions: Sequence[tuple[str, str]]) -> Image.Image:
    """Pictures uint8 (N, C, H, W) in rows, two lines under each: what it is, and what is said."""
    columns, (wide, tall) = 6, (150, 200)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGBA", (columns * wide, max(rows, 1) * tall))
    pen, font = ImageDraw.Draw(sheet), _font(18)
    for number, (image, (truth, said)) in enumerate(zip(images, captions, strict=True)):
        x, y = number % columns * wide, number // columns * tall
        sheet.paste(thumbnail(image, wide - 10), (x, y))
        pen.text((x, y + wide - 4), truth, GREY, font, "la")
        pen.text((x, y + wide + 18), said, ORANGE, font, "la")
    return sheet


def strip(images: Tensor, frames: Sequence[Box]) -> Image.Image:
    """Pictures uint8 (N, C, H, W) side by side, in each a frame in its own pixels."""
    sheet = Image.new("RGBA", (len(images) * (LARGER + GAP) - GAP, LARGER))
    for number, (image, frame) in enumerate(zip(images, frames, strict=True)):
        top, left, height, width = (side * LARGER / images.shape[3] for side in frame)
        shown = thumbnail(image, LARGER).convert("RGB")
        pen = ImageDraw.Draw(shown)
        pen.rectangle((left - 1, top - 1, left + width, top + height), None, (0, 0, 0), 4)
        pen.rectangle((left, top, left + width - 1, top + height - 1), None, WHITE[:3], 2)
        sheet.paste(shown, (number * (LARGER + GAP), 0))
    return sheet


def architecture_diagram(stages: Sequence[LayerSummary]) -> Image.Image:
    """The stages from the first down to the last, a bar each: as wide as what leaves it, and the
    thicker the more maps. Orange where a stage multiplies, grey where it only passes on.
    """
    font, widest = _font(24), max(stage.shape[-1] for stage in stages if len(stage.shape) == 3)
    sizes = [(_wide(stage.shape, widest), _thick(stage.shape)) for stage in stages]
    pitch = [max(round(thick), 26) + GAP for _, thick in sizes]
    picture = Image.new("RGBA", (760, sum(pitch) + CELL // 2))
    pen, y = ImageDraw.Draw(picture), CELL // 2
    for stage, (wide, thick), down in zip(stages, sizes, pitch, strict=True):
        middle = y + (down - GAP) / 2
        box = (190 - wide / 2, middle - thick / 2, 190 + wide / 2, middle + thick / 2)
        pen.rectangle(box, ORANGE if stage.multiply_adds else GREY)
        pen.text((410, middle), stage.name, ORANGE if stage.multiply_adds else GREY, font, "lm")
        pen.text((760, middle), " x ".join(map(str, stage.shape)), GREY, font, "rm")
        y += down
    return picture


def _wide(shape: tuple[int, ...], widest: int) -> float:
    return 20 + 360 * (shape[-1] / widest if len(shape) == 3 else min(1, math.log2(shape[0]) / 16))


def _thick(shape: tuple[int, ...]) -> float:
    return 6 + 4 * math.log2(shape[0]) if len(shape) == 3 else 6


def thumbnail(image: Tensor, side: int | None = None) -> Image.Image:
    """A picture uint8 (C, H, W), as it is or enlarged without smoothing to `side` pixels."""
    pixels = Image.fromarray(image.permute(1, 2, 0).squeeze(2).contiguous().numpy())
    return pixels.resize((side, side), Image.Resampling.NEAREST) if side else pixels


def _axes(x_name: str, y_name: str) -> tuple[Figure, Axes]:
    """Axes with names and a grid, in grey on nothing."""
    grey = _shares(GREY)
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


def _shares(color: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(part / 255 for part in color[:3])


def _picture(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba()))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
