"""Split off."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import safetensors
import safetensors.torch

from cnn import UserError


@contextlib.contextmanager
def atomic_write(path: Path, kind: str) -> Iterator[Path]:
    """A file to write beside the place of one of a `kind`, in a folder that is made.

    A fault of writing leaves none and is a `UserError`.
    """
    place = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield place
    except (OSError, RuntimeError, safetensors.SafetensorError) as fault:  # torch's is the second
        with contextlib.suppress(OSError):
            place.unlink()
        raise UserError(
            f"The {kind} could not be written to {str(path)!r} ({fault}). "
            "Free some space or choose another place."
        ) from fault
