"""The environment variables that configure the program, read when a function is called."""

import math
import os
from pathlib import Path
from typing import TypeVar

Default = TypeVar("Default", bound=float | None)


def data_folder() -> Path | None:
    """Return the folder with the data sets: `CNN_DATA`, or None if it is not set."""
    folder = os.environ.get("CNN_DATA")
    return Path(folder) if folder else None


def cpu_cores() -> float | None:
    """Return how many cores this process may use: `CPU_CORES`, or None if it is not set."""
    return _positive("CPU_CORES", None)


def max_runs() -> int:
    """Return how many training jobs may run at once: `CNN_MAX_RUNS`, 1 by default."""
    return max(1, int(_positive("CNN_MAX_RUNS", 1)))


def train_seconds() -> float:
    """Return how long a visitor's training run may take, in seconds.

    `CNN_TRAIN_SECONDS`, by default 60 on a Hugging Face Space and 900 elsewhere.
    """
    return _positive("CNN_TRAIN_SECONDS", 60 if on_space() else 900)


def rate_limit() -> float:
    """Return the requests per second of one session: `CNN_RATE_LIMIT`, else 50.

    One address may send twenty times as many, so that a class behind one is served.
    """
    return _positive("CNN_RATE_LIMIT", 50)


def allowed_hosts() -> set[str]:
    """Return names of this server besides localhost: `CNN_ALLOWED_HOSTS`, by commas."""
    return {name.lower() for name in _names("CNN_ALLOWED_HOSTS")}


def gradio_internals() -> bool:
    """Return whether undocumented parts of Gradio are used: `CNN_GRADIO_INTERNALS`, 1 or 0."""
    return os.environ.get("CNN_GRADIO_INTERNALS", "1") != "0"


def browser_inference() -> bool:
    """Return whether visitors' browsers compute predictions: `CNN_BROWSER_INFERENCE`, 1 or 0."""
    return os.environ.get("CNN_BROWSER_INFERENCE", "1") != "0"


def custom_models() -> list[str]:
    """Return the networks to import, as package.module:function: `CNN_MODELS`, by commas."""
    return _names("CNN_MODELS")


def custom_datasets() -> list[str]:
    """Return the paths of data sets to register: `CNN_DATASETS`, by commas."""
    return _names("CNN_DATASETS")


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def on_space() -> bool:
    """Return whether this is a Hugging Face Space, which sets `SPACE_ID`."""
    return "SPACE_ID" in os.environ


def _positive(variable: str, default: Default) -> float | Default:
    """Return a positive, finite number from a variable; the default if it holds anything else."""
    try:
        value = float(os.environ.get(variable, ""))
    except ValueError:
        return default
    return value if 0 < value < math.inf else default
