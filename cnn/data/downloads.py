"""Downloads: whole files or none, from the first mirror that has them, by one process at a time."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import filelock
import httpx

TEMP_PREFIX = ".download-"
TIMEOUT = 30  # seconds without a byte


def fetch(
    urls: Iterable[str], path: Path, md5: str, on_progress: Callable[[float], object]
) -> None:
    """Download a file from the first mirror whose answer has the right MD5.

    `on_progress` receives the fraction downloaded, in [0, 1]. An OSError says why the last mirror
    failed: it cannot be reached, breaks off, or sends another file.
    """
    fault = OSError("There is no address to download it from.")
    path.parent.mkdir(parents=True, exist_ok=True)
    for url in urls:
        try:
            if _download(url, path, on_progress) == md5:
                return
            fault = OSError(f"{url} sent a broken file.")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fault = OSError(f"{url} failed: {error or type(error).__name__}.")
        path.unlink(missing_ok=True)
    raise fault


def _download(url: str, path: Path, on_progress: Callable[[float], object]) -> str:
    """Write what a mirror sends to a file; return its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with (
        httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=True) as response,
        path.open("wb") as file,
    ):
        response.raise_for_status()
        size = int(response.headers.get("Content-Length", 0))
        done = 0
        for chunk in response.iter_raw():
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            on_progress(done / max(size, done))
    return digest.hexdigest()


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[Path]:
    """Lock a folder against other processes and yield a temporary folder inside it."""
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        for leftover in folder.glob(f"{TEMP_PREFIX}*"):  # of a process that was killed
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=TEMP_PREFIX, dir=folder) as temporary:
            yield Path(temporary)
