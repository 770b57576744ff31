"""Writing files: whole or not at all, and every fault a `UserError`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import safetensors

from cnn import UserError

WRITE_ERRORS = OSError, RuntimeError, safetensors.SafetensorError  # of Python, torch, safetensors


@contextlib.contextmanager
def report_write_errors(path: str | Path, kind: str) -> Iterator[None]:
    """Turn a fault of writing the `kind` of file at `path` into a `UserError`."""
    try:
        yield
    except WRITE_ERRORS as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise UserError(
            f"The {kind} could not be written to {str(path)!r} ({reason}). "
            "Free some space or choose another place."
        ) from fault


@contextlib.contextmanager
def atomic_write(path: str | Path, kind: str) -> Iterator[Path]:
    """Yield a temporary file beside `path` that replaces it once the block has succeeded.

    Makes missing folders. A fault leaves no file behind and is a `UserError`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with report_write_errors(path, kind):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch()
            mode = temporary.stat().st_mode  # as the umask says; safetensors writes 0600
            yield temporary
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def check_writable(path: str | Path, kind: str, size: int) -> None:
    """Raise a `UserError` unless a file of `size` bytes can be written to `path`; write none."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with report_write_errors(path, kind):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(f"{str(path)!r} is a folder")
            temporary.write_bytes(bytes(size))
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
