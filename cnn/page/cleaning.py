"""Nobody's pictures stay: files that visitors sent, and files made for them, are deleted."""

import asyncio
import time
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
from gradio import Blocks
from gradio.utils import get_upload_folder

OLDEST = 50 * 60  # seconds: with the time until the next sweep within the hour
BETWEEN = 5 * 60


def sweep(folder: Path, keep: Set[str], oldest: float = OLDEST) -> None:
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


@asynccontextmanager
async def kept_clean(page: Blocks) -> AsyncIterator[None]:
    """While the page is served, sweep the folder of uploads, at once and every five minutes."""

    async def sweep_on() -> None:
        while True:
            keep = {path for block in page.blocks.values() for path in block.keep_in_cache}
            await anyio.to_thread.run_sync(sweep, Path(get_upload_folder()), keep)
            await asyncio.sleep(BETWEEN)

    sweeping = asyncio.create_task(sweep_on())
    try:
        yield
    finally:
        sweeping.cancel()
