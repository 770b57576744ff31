"""What is known of a network, drawn: what it takes for what, how surely, and how it learnt.

On a transparent ground, so that each can lie on paper and on graphite.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnn.colors import GREY, ORANGE, WHITE, from_black, ink
from cnn.datasets import Split
from cnn.evaluation import Reliability
from cnn.visualization import Frame
from cnn.walkthrough import Stage

CELL = 84  # pixels, of a confusion matrix
SIZE = 800, 560  # pixels, of a chart
LEFT, TOP, RIGHT, BOTTOM = 96, 60, 30, 84  # pixels around its axes
TILE, LARGER, GAP = 64, 100, 6  # pixels, of a picture among others
FINE = 2  # drawn larger by so much, then made smaller for smooth lines
RIGHT_CELL = (74, 77, 84)


def confusion(counts: Tensor, classes: Sequence[str]) -> Image.Image:
    """How many pictures of a class (row) were taken for a class (column), int64 and square.

    What is right stands in grey along the diagonal; a mistake is the brighter the more often.
    """
    side = _beside(classes)
    picture = Image.new("RGBA", (side + CELL * len(classes),) * 2)
    pen, font = ImageDraw.Draw(picture), _font(28)
    wrong = counts - counts.diagonal().diag()
    colors = from_black(wrong.float().sqrt(), 0, max(wrong.max().item(), 1) ** 0.5).tolist()
    for row, name in enumerate(classes):
        middle = round(side + (row + 0.5) * CELL)
        pen.text((side - 14, middle), name, GREY, font, "rm")
        _upright(picture, name, (middle, side - 12), font)
        for column, count in enumerate(counts[row].tolist()):
            x, y = side + column * CELL, side + row * CELL
            color = RIGHT_CELL if row == column else tuple(colors[row][column])
            pen.rectangle((x, y, x + CELL - 3, y + CELL - 3), color)
            if count:
                at = x + CELL / 2 - 1, y + CELL / 2 - 1
                pen.text(at, str(count), ink(color), font, "mm")
    return picture


def cell_at(x: int, y: int, classes: Sequence[str]) -> tuple[int, int] | None:
    """The row and column of a confusion matrix at a pixel; None beside its cells."""
    row, column = ((at - _beside(classes)) // CELL for at in (y, x))
    return (row, column) if 0 <= row < len(classes) and 0 <= column < len(classes) else None


def _beside(classes: Sequence[str]) -> int:
    """Pixels that the names need at the left and at the top of a confusion matrix."""
    return max(round(_font(28).getlength(name)) for name in classes) + 30


def _upright(picture: Image.Image, name: str, foot: tuple[int, int], font) -> None:
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
    chart = _Chart((0, 1), (0, 1), "how sure it is, %", "how often it is right, %")
    bins, most = len(found.counts), max(found.counts.max().item(), 1)
    for number, (count, _, accuracy) in enumerate(zip(*map(Tensor.tolist, found), strict=True)):
        if count:
            alpha = 60 + round(195 * math.log1p(count) / math.log1p(most))
            left, right = (number + 0.06) / bins, (number + 0.94) / bins
            chart.bar(left, right, accuracy, (*ORANGE[:3], alpha))
    chart.line([(0, 0), (1, 1)], GREY, dashed=True)
    return chart.picture()


def curves(history: Sequence[Mapping[str, float]], measure: str) -> Image.Image:
    """A measure, "loss" or "accuracy", by epoch: training dashed in grey, validation orange."""
    training, validation = (
        [(row["epoch"], row[f"{split}_{measure}"]) for row in history]
        for split in ("train", "validation")
    )
    values = [value for _, value in training + validation]
    low = 0 if measure == "loss" else math.floor(10 * min(values)) / 10
    high = 1 if measure == "accuracy" else max(values) * 1.05
    words = {"loss": "loss", "accuracy": "right, %"}[measure]
    chart = _Chart((1, max(len(history), 2)), (low, high), "epoch", words, measure == "accuracy")
    chart.line(training, GREY, dashed=True)
    chart.line(validation, ORANGE)
    chart.dot(training[-1], GREY)
    chart.dot(validation[-1], ORANGE)
    chart.key({"training": GREY, "validation": ORANGE})
    return chart.picture()


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
        colors = from_black(torch.tensor(shares), 0, 1).tolist()
        for column, (share, color) in enumerate(zip(shares, colors, strict=True)):
            left = side + column * cell[0]
            pen.rectangle((left, top, left + cell[0] - 2, top + cell[1] - 2), tuple(color))
            at = left + cell[0] / 2, top + cell[1] / 2
            pen.text(at, f"{share:.3f}", ink(color), font, "mm")
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
            sheet.paste(tile(image, TILE), (side + column * edge, row * edge))
    return sheet


def album(images: Tensor, captions: Sequence[tuple[str, str]]) -> Image.Image:
    """Pictures uint8 (N, C, H, W) in rows, two lines under each: what it is, and what is said."""
    columns, (wide, tall) = 6, (150, 200)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGBA", (columns * wide, max(rows, 1) * tall))
    pen, font = ImageDraw.Draw(sheet), _font(18)
    for number, (image, (truth, said)) in enumerate(zip(images, captions, strict=True)):
        x, y = number % columns * wide, number // columns * tall
        sheet.paste(tile(image, wide - 10), (x, y))
        pen.text((x, y + wide - 4), truth, GREY, font, "la")
        pen.text((x, y + wide + 18), said, ORANGE, font, "la")
    return sheet


def row(images: Tensor, frames: Sequence[Frame]) -> Image.Image:
    """Pictures uint8 (N, C, H, W) side by side, in each a frame in its own pixels."""
    sheet = Image.new("RGBA", (len(images) * (LARGER + GAP) - GAP, LARGER))
    for number, (image, frame) in enumerate(zip(images, frames, strict=True)):
        top, left, height, width = (side * LARGER / images.shape[3] for side in frame)
        shown = tile(image, LARGER).convert("RGB")
        pen = ImageDraw.Draw(shown)
        pen.rectangle((left - 1, top - 1, left + width, top + height), None, (0, 0, 0), 4)
        pen.rectangle((left, top, left + width - 1, top + height - 1), None, WHITE[:3], 2)
        sheet.paste(shown, (number * (LARGER + GAP), 0))
    return sheet


def funnel(stages: Sequence[Stage]) -> Image.Image:
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


def tile(image: Tensor, side: int | None = None) -> Image.Image:
    """A picture uint8 (C, H, W), as it is or enlarged without smoothing to `side` pixels."""
    pixels = Image.fromarray(image.permute(1, 2, 0).squeeze(2).contiguous().numpy())
    return pixels.resize((side, side), Image.Resampling.NEAREST) if side else pixels


class _Chart:
    """Axes from `across` (left, right) and `up` (bottom, top), with their names and ticks."""

    def __init__(
        self,
        across: tuple[float, float],
        up: tuple[float, float],
        x_name: str,
        y_name: str,
        percent: bool = True,
    ):
        self._across, self._up = across, up
        self._sheet = Image.new("RGBA", (SIZE[0] * FINE, SIZE[1] * FINE))
        self._pen = ImageDraw.Draw(self._sheet)
        shares = across == (0, 1)
        for value in _ticks(*across, whole=not shares):
            x, y = self._at(value, up[0])
            self._write(x, y + 14, f"{100 * value:.0f}" if shares else f"{value:g}", "ma")
        for value in _ticks(*up):
            (left, y), (right, _) = self._at(across[0], value), self._at(across[1], value)
            self._pen.line([(left * FINE, y * FINE), (right * FINE, y * FINE)], GREY, 1)
            self._write(left - 12, y, f"{100 * value:.0f}" if percent else f"{value:g}", "rm")
        self._write(0, 2, y_name, "la")
        self._write((LEFT + SIZE[0] - RIGHT) / 2, SIZE[1] - 36, x_name, "ma")

    def _at(self, x: float, y: float) -> tuple[float, float]:
        (left, right), (bottom, top) = self._across, self._up
        wide, tall = SIZE[0] - LEFT - RIGHT, SIZE[1] - TOP - BOTTOM
        return (
            LEFT + wide * (x - left) / (right - left),
            TOP + tall * (top - y) / (top - bottom),
        )

    def _write(self, x: float, y: float, words: str, anchor: str, color=GREY) -> None:
        self._pen.text((x * FINE, y * FINE), words, color, _font(28 * FINE), anchor)

    def bar(self, left: float, right: float, height: float, color: tuple) -> None:
        box = [*self._at(left, height), *self._at(right, self._up[0])]
        self._pen.rectangle([side * FINE for side in box], color)

    def line(self, points: Sequence[tuple[float, float]], color: tuple, dashed=False) -> None:
        places = [(x * FINE, y * FINE) for x, y in (self._at(*point) for point in points)]
        if not dashed:
            self._pen.line(places, color, 5 * FINE, "curve")
            return
        dash, period, walked = 13 * FINE, 22 * FINE, 0.0
        for (x, y), (next_x, next_y) in zip(places, places[1:], strict=False):
            length = math.hypot(next_x - x, next_y - y)
            for start in torch.arange(-walked, length, period).tolist():
                begin, end = max(start, 0) / length, min(start + dash, length) / length
                ends = [(x + at * (next_x - x), y + at * (next_y - y)) for at in (begin, end)]
                if begin < end:
                    self._pen.line(ends, color, 4 * FINE)
            walked = (walked + length) % period

    def dot(self, point: tuple[float, float], color: tuple) -> None:
        x, y = self._at(*point)
        self._pen.circle((x * FINE, y * FINE), 6 * FINE, color)

    def key(self, colors: Mapping[str, tuple]) -> None:
        right = SIZE[0] - RIGHT
        for name, color in reversed(colors.items()):
            self._write(right, 2, name, "ra", color)
            right -= self._pen.textlength(name, _font(28 * FINE)) / FINE + 24

    def picture(self) -> Image.Image:
        return self._sheet.reduce(FINE)


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Four to eight round numbers from low to high."""
    rough = (high - low) / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 5, 10) if size * times >= rough)
    step = max(1, round(step)) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
