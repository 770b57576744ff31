"""Split off."""

import math
import os


def env_float(variable: str, otherwise: float) -> float:
    """The number that the host gives in an environment variable, if it is one above zero."""
    try:
        given = float(os.environ.get(variable, ""))
    except ValueError:
        return otherwise
    return given if 0 < given < math.inf else otherwise
