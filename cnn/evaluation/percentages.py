"""Writes fractions as percentages, by one rule for the page and the command line."""

import math
from collections.abc import Sequence


def percent(fraction: float, decimals: int = 1) -> str:
    """Write a fraction in [0, 1] as a percentage, rounded to the nearest.

    Only 0 reads 0.0 % and only 1 reads 100.0 %; what lies between and would round to them reads
    < 0.1 % and > 99.9 %.
    """
    scale = 10**decimals
    units = math.floor(100 * scale * fraction + 0.5)
    return _written(units, decimals, is_open=0 < fraction < 1)


def percentages(probabilities: Sequence[float], decimals: int = 1) -> list[str]:
    """Write the probabilities of all classes as percentages that sum to 100.

    What rounding down leaves over goes to the largest remainders, a unit each. No class of a
    softmax is impossible or certain: the ends read < 0.1 % and > 99.9 %. Without any probability
    (nothing is predicted) all read 0.0 %.
    """
    scale = 100 * 10**decimals
    exact = [scale * probability for probability in probabilities]
    units = [math.floor(value) for value in exact]
    missing = round(sum(exact)) - sum(units)
    by_remainder = sorted(range(len(exact)), key=lambda index: units[index] - exact[index])
    for index in by_remainder[:missing]:
        units[index] += 1
    return [_written(value, decimals, is_open=any(exact)) for value in units]


def _written(units: int, decimals: int, is_open: bool) -> str:
    scale = 10**decimals
    if is_open and units == 0:
        return f"<\u00a0{1 / scale:.{decimals}f}\u00a0%"
    if is_open and units == 100 * scale:
        return f">\u00a0{100 - 1 / scale:.{decimals}f}\u00a0%"
    return f"{units / scale:.{decimals}f}\u00a0%"
