"""Files from elsewhere: whole, or not there at all, and by one process at a time."""

import contextlib
import hashlib
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

TEMP_PREFIX = ".download-"
CHUNK = 1 << 18
TIMEOUT = 30  # seconds without a byte


def fetch(
    addresses: Iterable[str], path: Path, md5: str, progress: Callable[[float], object]
) -> None:
    """Write a file from the first address that gives it; `progress` hears the share, in [0, 1].

    An `OSError` says why the last address did not, or that what came is not what its MD5 names.
    """
    fault = OSError("There is no address to download it from.")
    path.parent.mkdir(parents=True, exist_ok=True)
    for address in addresses:
        try:
            found = _write(address, path, progress)
        except OSError as error:
            fault = error
        else:
            if found == md5:
                return
            fault = OSError(f"{address} gave a broken file.")
        path.unlink(missing_ok=True)
    raise fault


def _write(address: str, path: Path, progress: Callable[[float], object]) -> str:
    """Write what an address gives into a file; its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer, path.open("wb") as file:
        size, done = int(answer.headers.get("Content-Length") or 0), 0
        while piece := answer.read(CHUNK):
            file.write(piece)
            digest.update(piece)
            done += len(piece)
            progress(done / max(size, done))
    return digest.hexdigest()


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[Path]:
    """A passing place inside a folder, once no other process is in here with it.

    Where files cannot be locked (Windows) nobody waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed
        for left in folder.glob(f"{TEMP_PREFIX}*"):  # by a process that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=TEMP_PREFIX, dir=folder) as beside:
            yield Path(beside)
