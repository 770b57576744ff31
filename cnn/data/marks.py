"""Marks of ink on a sheet: grouped to characters, and put in reading order."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mark:
    """Connected or grouped ink: its bounding box and the labels of its parts."""

    top: int
    left: int
    bottom: int
    right: int
    labels: tuple[int, ...]

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def extent(self) -> int:
        return max(self.height, self.width)


def group(marks: list[Mark]) -> list[Mark]:
    """Join the strokes that are one digit: they overlap, or a short one lies close to another."""
    marks = sorted(marks, key=lambda mark: mark.left)
    merged = True
    while merged:
        merged = False
        for i, first in enumerate(marks):
            for second in marks[i + 1 :]:
                if _belong_together(first, second):
                    marks = [mark for mark in marks if mark not in (first, second)]
                    marks.append(_union(first, second))
                    merged = True
                    break
            if merged:
                break
    if not marks:
        return []
    tallest = max(mark.extent for mark in marks)
    return [mark for mark in marks if mark.extent >= 0.25 * tallest]


def _union(first: Mark, second: Mark) -> Mark:
    return Mark(
        min(first.top, second.top),
        min(first.left, second.left),
        max(first.bottom, second.bottom),
        max(first.right, second.right),
        first.labels + second.labels,
    )


def _belong_together(first: Mark, second: Mark) -> bool:
    taller = max(first.extent, second.extent)
    across = max(first.left, second.left) - min(first.right, second.right)  # negative: overlap
    down = max(first.top, second.top) - min(first.bottom, second.bottom)
    narrower = max(1, min(first.width, second.width))
    shorter = max(1, min(first.height, second.height))
    if -across >= 0.3 * narrower:
        both_tall = shorter >= 0.6 * taller
        return down <= (0.0 if both_tall else 0.3 * taller)
    is_stroke = shorter < 0.6 * max(first.height, second.height)
    return down <= 0.12 * taller and across <= (0.12 if is_stroke else 0.02) * taller


def in_reading_order(marks: list[Mark]) -> list[Mark]:
    """Sort marks line by line and from left to right."""
    lines: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda mark: mark.top + mark.bottom):
        middle = (mark.top + mark.bottom) / 2
        if lines and middle < np.mean([other.bottom for other in lines[-1]]):
            lines[-1].append(mark)
        else:
            lines.append([mark])
    return [mark for line in lines for mark in sorted(line, key=lambda mark: mark.left)]
