"""Deletes expired uploads, downloads and sessions while the page is served."""

import asyncio
import contextlib
import ctypes
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from pathlib import Path

import anyio.to_thread
from gradio import Blocks
from gradio.utils import get_upload_folder

from cnn import hardware

INTERVAL = 5  # seconds
MAX_AGE = 50 * 60  # seconds
QUOTA = 500_000_000  # bytes in the folder of uploads
MIN_FREE = 200_000_000  # bytes on its disk, below which nothing is uploaded
M_ARENA_MAX = -8  # of glibc's malloc.h

_log = logging.getLogger(__name__)


def limit_malloc_arenas() -> None:
    """Let all threads share two heaps; glibc gives each thread its own and keeps it.

    After 3,000 mixed events the page holds 976 MB instead of 1,103, and is as fast.
    """
    with contextlib.suppress(AttributeError, TypeError):  # only glibc has it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def delete_expired(folder: Path, keep: Set[str], max_age: float, quota: float = QUOTA) -> None:
    """Delete files below a folder that are older than `max_age` seconds, and empty folders.

    Where the rest has more than `quota` bytes the oldest files go too. Those of earlier runs are
    included; `keep` names those that stay, such as the example photographs.
    """
    latest = time.time() - max_age
    files: list[tuple[float, int, Path]] = []
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        with contextlib.suppress(OSError):  # another server deleted it, or it is not empty
            status = path.lstat()
            if str(path) in keep:
                continue
            if status.st_ctime <= latest:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            elif path.is_file():
                files.append((status.st_ctime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= quota:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size


def disk_is_full(folder: Path) -> bool:
    """Return whether the disk of a folder has too little space left for uploads."""
    try:
        return shutil.disk_usage(folder if folder.exists() else folder.parent).free < MIN_FREE
    except OSError:
        return False


@contextlib.asynccontextmanager
async def cleanup_lifespan(page: Blocks, housekeep: Callable[[], Awaitable]) -> AsyncIterator[None]:
    """While the page is served, await `housekeep` and delete expired files every few seconds.

    What answers allocate for a moment leaves holes in malloc's heaps. Returning them to the system
    takes 6 ms each time. After 20,000 mixed events the page holds 3 and 41 MB more than after
    1,000 (two runs), without this 116 MB.
    """

    async def run() -> None:
        while True:
            try:
                await housekeep()
                keep = {path for block in page.blocks.values() for path in block.keep_in_cache}
                folder = Path(get_upload_folder())
                await anyio.to_thread.run_sync(delete_expired, folder, keep, MAX_AGE)
                await anyio.to_thread.run_sync(hardware.release_memory)
            except Exception:  # the next time may succeed
                _log.exception("The cleanup ended with an error.")
            await asyncio.sleep(INTERVAL)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
