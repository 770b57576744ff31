"""UNIPEN's official distribution, `train_r01_v07`: pen strokes in its `.dat` form.

I. Guyon and others, "UNIPEN project of on-line data exchange and recognizer benchmarks" (1994).
"""

import re
from pathlib import Path

import numpy as np

from cnn import UserError

FOLDER = "train_r01_v07"
DOI = "10.5281/zenodo.1195803"
SEGMENT = re.compile(r'\.SEGMENT\s+CHARACTER\s+(\S+)\s+\S+\s+"(.*)"')


def read(
    root: Path, category: str, kept: str | None = None
) -> tuple[list[list[np.ndarray]], list[str], list[str]]:
    """Read the isolated characters of a category: their strokes, labels and contributors.

    `root` holds the folders `data` and `include`. A category is "1a" (digits), "1b" (capital
    letters), "1c" (small letters) or "1d" (signs). `kept` are the labels to keep, all of one
    character; by default every label. A stroke is float64 (points, 2), y down. A contributor is
    the name of the folder, three letters. A `UserError` says where to get the files.
    """
    drawings, labels, contributors = [], [], []
    try:
        for path in sorted((root / "data" / category).glob("*/**/*.dat")):
            for strokes, label in _read_characters(path, root / "include"):
                if len(label) == 1 and (kept is None or label in kept):
                    drawings.append(strokes)
                    labels.append(label)
                    contributors.append(path.relative_to(root / "data" / category).parts[0])
    except (OSError, ValueError, IndexError) as error:
        raise UserError(
            f"UNIPEN could not be read from {str(root)!r} ({error}). Download {FOLDER} from "
            f"Zenodo, {DOI}, and unpack it there."
        ) from error
    if not drawings:
        raise UserError(
            f"There are no characters of UNIPEN's category {category} in {str(root)!r}. Download "
            f"{FOLDER} from Zenodo, {DOI}, and unpack it there."
        )
    return drawings, labels, contributors


def _read_characters(path: Path, include: Path) -> list[tuple[list[np.ndarray], str]]:
    """Read the characters that a file names in the pen data of the files that it includes."""
    text = path.read_text("latin-1")
    components = []
    for name in re.findall(r"^\.INCLUDE\s+(\S+)", text, re.MULTILINE):
        if name.endswith(".dat"):
            components += _read_components((include / name).read_text("latin-1"))
    components += _read_components(text)
    characters = []
    for line in text.splitlines():
        if match := SEGMENT.match(line):
            strokes = _delineated(components, match[1])
            if strokes:
                characters.append((strokes, match[2]))
    return characters


def _read_components(text: str) -> list[tuple[bool, np.ndarray]]:
    """Read what lies between .PEN_DOWN and .PEN_UP: whether the pen is down, and its points.

    A component without points does not count.
    """
    components: list[tuple[bool, list[list[float]]]] = []
    for line in text.splitlines():
        if line.startswith((".PEN_DOWN", ".PEN_UP")):
            components.append((line.startswith(".PEN_DOWN"), []))
        elif components and line and line[0] in " -0123456789":
            components[-1][1].append([float(word) for word in line.split()[:2]])
    return [(down, np.array(points) * (1, -1)) for down, points in components if points]


def _delineated(components: list[tuple[bool, np.ndarray]], delineation: str) -> list[np.ndarray]:
    """Cut the strokes of "292-294", "3:10-4:5" or "7,9" out of the components, from 0.

    A number before a colon counts components and one behind it points; both ends belong to it.
    """
    strokes = []
    for part in delineation.split(","):
        ends = [[int(word) for word in end.split(":")] for end in part.split("-")]
        first, last = ends[0], ends[-1]
        for index in range(first[0], last[0] + 1):
            down, points = components[index]
            start = first[1] if len(first) > 1 and index == first[0] else 0
            stop = last[1] + 1 if len(last) > 1 and index == last[0] else None
            if down and len(points[start:stop]):
                strokes.append(points[start:stop])
    return strokes
