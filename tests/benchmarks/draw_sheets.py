"""Draws sheets of paper with handwritten digits for paper.py, as cameras and scanners take them.

    python tests/benchmarks/draw_sheets.py STROKES.npz FOLDER [--each 20]

STROKES has the form that drawn_digits.py reads. Writes FOLDER/<kind>/<number>_<digits>.jpg; the
digits of an empty sheet are none. The same arguments draw the same sheets.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 900, 700
BLUE, RED, GREEN, PENCIL = (35, 50, 150), (190, 40, 45), (20, 120, 60), (150, 150, 152)
BLACK, WHITE = (40, 40, 45), (225, 225, 222)


def pen(image: Image.Image, strokes: list[np.ndarray], box: tuple, color, width: int) -> None:
    """Draw strokes into a box (left, top, side)."""
    points = np.concatenate(strokes)
    low, extent = points.min(0), max(np.ptp(points, axis=0).max(), 1)
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        line = [tuple(point) for point in (stroke - low) / extent * box[2] + box[:2]]
        draw.line(line, fill=color, width=width, joint="curve")
        for x, y in (line[0], line[-1]):
            r = width / 2
            draw.ellipse([x - r, y - r, x + r, y + r], fill=color)


def paper(color=(235, 233, 228), size=(WIDTH, HEIGHT)) -> Image.Image:
    return Image.new("RGB", size, color)


def ruled(image: Image.Image, pitch: int, color=(170, 190, 215), squared: bool = False):
    draw = ImageDraw.Draw(image)
    for y in range(pitch // 2, image.height, pitch):
        draw.line([(0, y), (image.width, y)], fill=color, width=2)
    for x in range(pitch // 2, image.width, pitch) if squared else ():
        draw.line([(x, 0), (x, image.height)], fill=color, width=2)
    return image


def wood(generator, size) -> np.ndarray:
    rows = generator.normal(0, 1, size[1]).cumsum()
    grain = 12 * np.sin(rows / 2)[:, None] + generator.normal(0, 5, size[::-1])
    return (np.array([110, 78, 50]) + grain[..., None]).clip(0, 255)


def on_table(sheet: Image.Image, generator, table: np.ndarray, degrees: float) -> Image.Image:
    """Lay a sheet, tilted and seen a little from the side, on a table."""
    size = table.shape[1], table.shape[0]
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5
    turn = np.radians(degrees)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    placed = (corners * sheet.size) @ spin * 0.72 * size[0] / sheet.width + np.array(size) / 2
    placed += generator.uniform(-15, 15, placed.shape)
    source = (corners + 0.5) * sheet.size
    rows = []
    for (x, y), (u, v) in zip(placed, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    weights = np.linalg.solve(np.array(rows), source.ravel())
    warped = [
        layer.transform(size, Image.Transform.PERSPECTIVE, weights, Image.Resampling.BICUBIC)
        for layer in (sheet, Image.new("L", sheet.size, 255))
    ]
    return Image.composite(warped[0], Image.fromarray(table.astype(np.uint8)), warped[1])


def lit(image: Image.Image, light: np.ndarray) -> Image.Image:
    return Image.fromarray((np.asarray(image) * light[..., None]).clip(0, 255).astype(np.uint8))


def kinds(strokes: list, label: str, several: list, generator) -> Iterator[tuple]:
    """Yield (kind, digits, image)."""
    box = (320, 180, 280)

    def one(base=None, color=BLACK, width=9, place=box):
        base = base or paper()
        pen(base, strokes, place, color, width)
        return base

    yield "ruled", label, one(ruled(paper(), 45))
    yield "squared", label, one(ruled(paper(), 35, squared=True))
    yield "ruled-pencil", label, one(ruled(paper(), 45, (205, 215, 230)), PENCIL, 6)
    margin = ruled(paper(), 45)
    ImageDraw.Draw(margin).line([(120, 0), (120, HEIGHT)], fill=(225, 120, 130), width=3)
    yield "notebook", label, one(margin, BLUE, 7)
    for name, color in (("blue", BLUE), ("red", RED), ("green", GREEN), ("pencil", PENCIL)):
        yield f"pen-{name}", label, one(color=color, width=5)
    yield "colored-paper", label, one(paper((240, 215, 90)), BLUE)
    yield "same-lightness", label, one(paper((90, 160, 90)), (215, 95, 95))
    for degrees in (4, 15):
        table = wood(generator, (WIDTH, HEIGHT))
        yield f"wood-tilt-{degrees}", label, on_table(one(width=14), generator, table, degrees)
    ruled_sheet = one(ruled(paper(), 45), BLUE, 12)
    dark = generator.normal(60, 5, (HEIGHT, WIDTH, 3)).clip(0, 255)
    yield "ruled-on-table", label, on_table(ruled_sheet, generator, dark, 6)
    light = generator.normal(225, 3, (HEIGHT, WIDTH, 3)).clip(0, 255)
    yield (
        "dark-sheet-light-table",
        label,
        on_table(one(paper((60, 60, 70)), WHITE, 14), generator, light, 5),
    )
    yield "chalk", label, one(paper((38, 52, 45)), WHITE, 11)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    blob = ((x - 0.7) / 0.9) ** 2 + ((y - 0.8) / 0.9) ** 2
    yield "hand-shadow", label, lit(one(), 1 - 0.45 / (1 + np.exp((blob - 1) / 0.15)))
    phone = ImageDraw.Draw(shade := Image.new("L", (WIDTH, HEIGHT)))
    phone.polygon([(500, 700), (430, 260), (800, 200), (900, 700)], fill=255)
    shade = np.asarray(shade.filter(ImageFilter.GaussianBlur(3))) / 255
    yield "phone-shadow", label, lit(one(), 1 - 0.4 * shade)
    yield "phone-shadow-empty", "", lit(paper(), 1 - 0.4 * shade)
    yield "vignette", label, lit(one(width=6), 1 - 0.3 * (x * x + y * y))
    yield "whiteboard", label, lit(one(paper((250, 250, 250)), GREEN, 12), 0.9 - 0.2 * x)
    form = paper()
    ImageDraw.Draw(form).rectangle([260, 120, 660, 520], outline=(60, 60, 60), width=4)
    yield "form-box", label, one(form)
    empty = paper()
    ImageDraw.Draw(empty).rectangle([260, 120, 660, 520], outline=(60, 60, 60), width=4)
    yield "form-box-empty", "", empty
    yield "small", label, one(width=3, place=(500, 300, 60))
    yield "tiny-in-large", label, one(paper(size=(2400, 1800)), width=5, place=(1500, 700, 90))
    yield "touches-border", label, one(width=12, place=(320, 4, 280)).crop((250, 0, 680, 330))
    neighbor = one()
    pen(neighbor, several[0][0], (-150, 200, 260), BLACK, 9)
    yield "neighbor", label, neighbor
    yield "screenshot", label, one(paper((255, 255, 255)), (0, 0, 0), 6)
    yield "empty-rules", "", ruled(paper(), 45)
    yield "empty-wood", "", on_table(paper(), generator, wood(generator, (WIDTH, HEIGHT)), 7)
    yield "empty-tilt", "", on_table(paper(), generator, dark, 12)
    row = paper((232, 230, 226), (1200, 500))
    for place, (digit, _) in enumerate(several):
        pen(row, digit, (90 + 215 * place, 150, 140), BLUE, 8)
    digits = "".join(label for _, label in several)
    yield "five", digits, row
    yield (
        "five-on-table",
        digits,
        on_table(
            row.crop((0, 0, 1200, 500)), generator, generator.normal(70, 6, (650, 1200, 3)), 4
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("strokes", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=20, help="sheets per kind")
    arguments = parser.parse_args()
    data, generator = dict(np.load(arguments.strokes)), np.random.default_rng(1)
    lines = np.split(data["points"] * np.array([1.0, -1]), data["stroke_start"][1:])
    bounds = [*data["sample_start"], len(lines)]
    chosen = generator.choice(len(data["labels"]), (arguments.each, 6), replace=False)
    for number, indices in enumerate(chosen):
        samples = [(lines[bounds[i] : bounds[i + 1]], str(data["labels"][i])) for i in indices]
        for kind, digits, image in kinds(*samples[0], samples[1:], generator):
            grain = generator.normal(0, 3, (image.height, image.width, 1))
            pixels = (np.asarray(image) + grain).clip(0, 255).astype(np.uint8)
            place = arguments.folder / kind
            place.mkdir(parents=True, exist_ok=True)
            photo = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.8))
            photo.save(place / f"{number:03d}_{digits}.jpg", quality=80)


if __name__ == "__main__":
    main()
