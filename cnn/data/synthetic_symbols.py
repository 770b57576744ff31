"""Symbols that are no digits, drawn as `synthetic` draws digits: signs, and other scripts' digits.

Learnt as outliers, they need no download. Other scripts' digits that look like a Western one are
left out.
"""

from functools import cache

import numpy as np

from cnn.data import synthetic
from cnn.data.strokes import SIDE

# The strokes of each symbol, in the form of `synthetic.GLYPHS`.
SYMBOLS = {
    "heart": "50,28 40,8 22,4 8,18 8,40 24,66 50,98! 76,66 92,40 92,18 78,4 60,8 50,28",
    "heart from below": "50,98 20,62 6,36 12,10 32,4 50,26! 66,4 88,10 94,36 80,62 50,98",
    "smiley": "50,0 15,15 0,50 15,85 50,100 85,85 100,50 85,15 50,0 | 33,30 35,40 | 67,30 65,40"
    " | 25,62 38,76 50,80 62,76 75,62",
    "frowning face": "50,0 15,15 0,50 15,85 50,100 85,85 100,50 85,15 50,0 | 33,30 34,40"
    " | 67,30 66,40 | 28,80 40,68 60,68 72,80",
    "face without outline": "24,8 26,26 | 70,6 70,26 | 0,56 20,86 50,96 80,86 100,56",
    "star": "20,98 50,0! 80,98! 0,36! 100,36! 20,98",
    "check mark": "6,56 34,96! 94,4",
    "cross": "8,4 92,96 | 92,4 8,96",
    "plus": "50,2 50,98 | 2,50 98,50",
    "asterisk": "50,2 50,98 | 8,26 92,74 | 92,26 8,74",
    "triangle": "50,4 96,92! 4,92! 50,4",
    "square": "6,6 94,6! 94,94! 6,94! 6,6",
    "arrow": "4,50 96,50 | 68,22 96,50! 68,78",
    "upward arrow": "50,98 50,2 | 24,30 50,2! 76,30",
    "spiral": "50,52 58,44 50,34 36,40 34,58 50,70 70,60 74,36 54,18 26,26 16,54 32,84 62,90",
    "house": "10,98 10,42! 50,4! 90,42! 90,98! 10,98",
    "lightning": "60,0 26,54! 62,50! 34,100",
    "infinity": "50,50 28,28 6,50 28,72 50,50 72,28 94,50 72,72 50,50",
    "wave": "0,60 16,36 34,60 50,84 66,60 84,36 100,60",
    "flower": "50,40 60,16 76,30 60,46 84,50 80,70 58,58 60,86 40,86 42,58 18,70 16,50 40,46"
    " 24,30 40,16 50,40",
    "ladder": "20,0 20,100 | 80,0 80,100 | 20,25 80,25 | 20,50 80,50 | 20,75 80,75",
    "grid": "32,0 32,100 | 68,0 68,100 | 0,32 100,32 | 0,68 100,68",
    "circle with a dot": "50,0 15,15 0,50 15,85 50,100 85,85 100,50 85,15 50,0 | 46,46 54,54",
    "gallows": "10,98 90,98 | 30,98 30,4! 74,4! 74,30",
    "stick figure": "50,30 38,18 50,4 62,18 50,30! 50,66! 26,100 | 50,66 74,100 | 22,46 78,46",
    "fish": "96,20 60,60 20,62 2,44 20,24 60,28 96,72! 90,46 96,20",
    "arabic 2": "70,2 64,18 46,24 28,16 22,2! 30,50 34,100",
    "arabic 3": "88,2 82,16 68,18 56,4! 52,16 38,20 22,2! 30,50 34,100",
    "arabic 4": "72,4 40,12 32,28 58,44! 28,56 22,78 44,96 80,98",
    "arabic 7": "14,2 50,98! 86,2",
    "devanagari 4": "20,2 50,50 72,84 50,100 28,84 50,50 80,2",
    "devanagari 6": "70,2 36,10 32,32 60,44! 30,54 24,76 48,88 72,76 60,66 56,80 88,100",
    "devanagari 7": "34,30 48,40 62,28 54,10 28,10 10,42 24,82 60,94 90,72 90,30",
    "devanagari 8": "90,4 36,8 14,38 20,74 50,96 92,98",
    "devanagari 9": "32,30 52,40 64,24 44,8 24,26 36,52 64,50! 44,62 50,80 90,100",
}


@cache
def _glyphs() -> list[synthetic.Glyph]:
    return [synthetic.glyph(text) for text in SYMBOLS.values()]


def synthetic_symbols(count: int, seed: int) -> np.ndarray:
    """Draw symbols in random order: uint8 (N, 28, 28). The same seed gives the same images."""
    generator = np.random.default_rng(seed)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for image, index in zip(images, generator.permutation(count), strict=True):
        strokes = synthetic.perturb(_glyphs()[index % len(SYMBOLS)], generator)
        image[:] = synthetic.draw_with_random_pen(strokes, generator)
    return images
