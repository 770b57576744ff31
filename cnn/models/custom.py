"""Networks and data sets of one's own, found by name.

A name runs code or reads files, so that it is only followed where a person gives it: on the
command line, or in the environment variables `CNN_MODELS` and `CNN_DATASETS`. A checkpoint
cannot make the program import anything.
"""

import importlib
import sys
from pathlib import Path

from cnn import UserError, settings
from cnn.data.custom import register_dataset
from cnn.data.datasets import DATASETS
from cnn.models.architectures import MODELS, register_model


def load_model(name: str) -> None:
    """Import the network "package.module:function", a function of `Dataset` to `nn.Sequential`.

    A bundled network's name is left alone. What cannot be imported is a `UserError`.
    """
    module_name, colon, function_name = name.partition(":")
    if name in MODELS or not colon:
        return
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise UserError(
            f"The network {name!r} cannot be imported ({error}). "
            "Name a function as package.module:function, importable from this folder."
        ) from error
    register_model(function, name)


def load_dataset(name: str) -> None:
    """Register the data set at a path; the name of a known one is left alone."""
    if name not in DATASETS and (Path(name).exists() or Path(name).suffix == ".npz"):
        register_dataset(name)


def load_from_settings() -> None:
    """Load what the environment variables `CNN_MODELS` and `CNN_DATASETS` name."""
    for name in settings.custom_models():
        load_model(name)
    for name in settings.custom_datasets():
        load_dataset(name)
