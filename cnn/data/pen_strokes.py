"""Sets of pen strokes: digits to learn from, and characters and drawings that are no digits."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cnn import UserError
from cnn.data import datasets, synthetic, unipen
from cnn.data import strokes as pen

COPIES = 2  # of each drawing, with another pen and another hand
HELD_OUT = 0.1  # of a set without contributors, at its end: whole labels where it is sorted
HELD_OUT_CONTRIBUTORS = ("aga", "apa", "gmd", "pri")  # of UNIPEN
DIGITS = "0123456789"
DIGIT_LIKE = frozenset(  # characters and drawings that may look like a digit
    (
        *"OoQDIli|/!()ZzSsbGqgBy",
        *("blueberry", "boomerang", "bracelet", "circle", "donut", "hockey stick", "hourglass"),
        *("golf club", "line", "lollipop", "moon", "peanut", "pond", "potato", "snake"),
        *("snowman", "squiggle", "string bean", "swan", "zigzag"),
    )
)
UNIPEN_CATEGORIES = {
    "unipen_digits": ("1a",),
    "unipen_letters": ("1b", "1c"),
    "unipen_symbols": ("1d",),
}
NAMES = (*UNIPEN_CATEGORIES, "quickdraw", "omniglot")


class PenStrokes(NamedTuple):
    """Drawings: their strokes, float64 (points, 2) with y down, and for each a label.

    `contributors` are the names of those who collected them; none for a set without.
    """

    drawings: list[list[np.ndarray]]
    labels: list[str]
    contributors: list[str] | None

    def select(self, chosen: Collection[bool]) -> "PenStrokes":
        """Return the drawings that a mask chooses."""
        indices = np.flatnonzero(np.asarray(chosen, bool))
        contributors = self.contributors and [self.contributors[i] for i in indices]
        return PenStrokes(
            [self.drawings[i] for i in indices], [self.labels[i] for i in indices], contributors
        )


def is_known(name: str) -> bool:
    """Whether `load` reads pen strokes by this name: one of `NAMES`, or a file that holds some."""
    if name in NAMES:
        return True
    try:
        with np.load(name) as file:
            return "stroke_start" in file
    except (OSError, ValueError, TypeError):
        return False


def load(name: str) -> PenStrokes:
    """Load a set of pen strokes by its name in `NAMES` or from an .npz file.

    A name stands for the file `strokes/NAME.npz` in the data folder; UNIPEN's official
    distribution, `train_r01_v07` in the data folder, serves as well. A `UserError` says what is
    missing, and where to get it.
    """
    if name not in NAMES:
        return read_npz(Path(name))
    folder = datasets.folder()
    path = folder / "strokes" / f"{name}.npz"
    if path.exists():
        return read_npz(path)
    if name in UNIPEN_CATEGORIES:
        kept = DIGITS if name == "unipen_digits" else None
        parts = [
            unipen.read(folder / unipen.FOLDER, category, kept)
            for category in UNIPEN_CATEGORIES[name]
        ]
        return PenStrokes(*(sum(columns, []) for columns in zip(*parts, strict=True)))
    raise UserError(f"There is no file {str(path)!r}. Put it there, or name an .npz file.")


def read_npz(path: Path) -> PenStrokes:
    """Read an .npz file of pen strokes.

    `points` (P, 2) with y up; `stroke_start`, offsets into the points; `sample_start`, offsets
    into the strokes; `labels`, text or numbers; optionally `contributor`. The ends of the last
    stroke and drawing may stand at the end of both offsets. A `UserError` says what is wrong.
    """
    try:
        with np.load(path) as file:
            points = file["points"] * np.array([1.0, -1.0])
            labels = [str(label) for label in file["labels"]]
            strokes = _pieces(points, file["stroke_start"])
            contributors = file["contributor"].tolist() if "contributor" in file else None
            starts = np.r_[file["sample_start"][: len(labels)], len(strokes)]
        if len(starts) != len(labels) + 1 or (np.diff(starts) < 0).any():
            raise ValueError(f"{len(labels)} labels and {len(starts) - 1} drawings")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"The pen strokes {str(path)!r} could not be read ({error}). Choose one of "
            f"{', '.join(NAMES)}, or an .npz file with points, stroke_start, sample_start and "
            "labels."
        ) from error
    drawings = [strokes[start:end] for start, end in zip(starts[:-1], starts[1:], strict=True)]
    return PenStrokes(drawings, labels, contributors)


def _pieces(values: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
    return np.split(values, [start for start in starts[1:] if start < len(values)])


def split(strokes: PenStrokes) -> tuple[PenStrokes, PenStrokes]:
    """Split a set into drawings to train with and held-out ones.

    Held out are all drawings of four of UNIPEN's contributors; of a set without contributors,
    its last tenth.
    """
    if strokes.contributors is None:
        count = len(strokes.labels)
        held_out = np.arange(count) >= count - round(HELD_OUT * count)
    else:
        held_out = np.isin(strokes.contributors, HELD_OUT_CONTRIBUTORS)
    return strokes.select(~held_out), strokes.select(held_out)


def without_digit_like(strokes: PenStrokes) -> PenStrokes:
    """Leave out the drawings whose label is a digit or may look like one."""
    known = DIGIT_LIKE | set(DIGITS)
    return strokes.select([label not in known for label in strokes.labels])


def rasterize(strokes: PenStrokes) -> Tensor:
    """Draw each drawing once, with the pen of the page's pad: uint8 (N, 1, 28, 28)."""
    images = np.zeros((len(strokes.drawings), 1, 28, 28), np.uint8)
    for image, drawing in zip(images, strokes.drawings, strict=True):
        image[0] = (255 * pen.rasterize(drawing)).round()
    return torch.from_numpy(images)


def rasterize_varied(strokes: PenStrokes, copies: int = COPIES, seed: int = 0) -> Tensor:
    """Draw each drawing `copies` times, one after another: uint8 (copies * N, 1, 28, 28).

    Each copy has another pen, slant, rotation and tremor; the same seed gives the same images.
    """
    generator = np.random.default_rng(seed)
    images = np.empty((copies * len(strokes.drawings), 1, 28, 28), np.uint8)
    for i, image in enumerate(images):
        varied = _vary(strokes.drawings[i // copies], generator)
        image[0] = synthetic.draw_with_random_pen(varied, generator)
    return torch.from_numpy(images)


def _vary(drawing: list[np.ndarray], generator: np.random.Generator) -> list[np.ndarray]:
    """Stretch, slant and rotate a drawing a little, and let the hand tremble."""
    points = np.concatenate(drawing)
    points = points - points.mean(0)
    points /= max(np.ptp(points, axis=0).max(), 1e-9)
    stretch = np.exp(0.12 * generator.standard_normal())
    slant, turn = np.clip(generator.standard_normal(2) * (0.1, 0.08), -0.25, 0.25)
    cos, sin = np.cos(turn), np.sin(turn)
    points = points @ np.array([[stretch, 0], [-slant, 1]]) @ np.array([[cos, sin], [-sin, cos]])
    amount = 0.012 * generator.random() ** 2
    shake = generator.standard_normal((len(points) + 2, 2)) * amount
    points += shake[:-2] + shake[1:-1] + shake[2:]
    return np.split(points, np.cumsum([len(stroke) for stroke in drawing])[:-1])


def digits(name: str) -> tuple[datasets.Split, datasets.Split]:
    """Draw the digits of a set of pen strokes: images to train with, and held-out ones.

    Those to train with are drawn `COPIES` times each and the held-out ones once. A set without
    digits is a `UserError`.
    """
    strokes = load(name)
    strokes = strokes.select([label in DIGITS for label in strokes.labels])
    if not strokes.labels:
        raise UserError(
            f"The pen strokes {name!r} hold no digits. Choose a set with labels 0 to 9."
        )
    train, held_out = split(strokes)
    images = rasterize_varied(train)
    labels = _labels(train).repeat_interleave(COPIES)
    return (
        datasets.Split(images, labels),
        datasets.Split(rasterize_varied(held_out, copies=1), _labels(held_out)),
    )


def _labels(strokes: PenStrokes) -> Tensor:
    return torch.tensor([int(label) for label in strokes.labels], dtype=torch.long)
