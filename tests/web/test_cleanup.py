"""Uploads and made files are deleted in time, and what is ours stays."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from support import asynchronous

from cnn import hardware
from cnn.web.server import cleanup, routes
from cnn.web.server.middleware import RequestGuard

ROOT = Path(__file__).parents[2]


def test_old_files_go_and_new_ones_and_ours_stay(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    for name in ("theirs.png", "ours.jpg"):
        (deep / name).touch()
    (tmp_path / "link").symlink_to(ROOT)
    cleanup.delete_expired(tmp_path, keep=set(), max_age=60)
    assert (deep / "theirs.png").exists()
    cleanup.delete_expired(tmp_path, keep={str(deep / "ours.jpg")}, max_age=-1)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["ours.jpg"]
    assert (ROOT / "app.py").exists()


def test_a_full_folder_loses_its_oldest_files_first(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(bytes(100))
    times = {path: float(path.stem) for path in tmp_path.iterdir()}
    oldest = sorted(times, key=lambda path: path.lstat().st_ctime)[:2]
    cleanup.delete_expired(tmp_path, keep=set(), max_age=60, quota=250)
    assert len(list(tmp_path.iterdir())) == 2
    assert not any(path.exists() for path in oldest)


def test_nothing_is_uploaded_to_a_full_disk(monkeypatch):
    monkeypatch.setattr(cleanup, "MIN_FREE", 10**18)
    answer = TestClient(RequestGuard(PlainTextResponse("done"))).post(routes.UPLOAD)
    assert answer.status_code == 507
    assert "disk is full" in answer.json()["detail"]


def test_a_cleanup_that_ends_with_an_error_is_not_the_last_one(monkeypatch, caplog):
    monkeypatch.setattr(cleanup, "INTERVAL", 0)
    runs = []

    async def serve():
        cleaned = asyncio.Event()

        async def housekeep():
            runs.append(1)
            if len(runs) == 1:
                raise FileNotFoundError
            cleaned.set()

        async with cleanup.cleanup_lifespan(gr.Blocks(), housekeep):
            await asyncio.wait_for(cleaned.wait(), 10)

    with ThreadPoolExecutor() as other_thread:  # a browser's loop may run in this one
        other_thread.submit(asyncio.run, serve()).result()
    assert "FileNotFoundError" in caplog.text


def test_freed_memory_is_returned_while_the_page_is_served(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(hardware, "release_memory", released.set)

    async def nothing():
        pass

    async def serve():
        async with cleanup.cleanup_lifespan(gr.Blocks(), nothing):
            assert await asyncio.to_thread(released.wait, 10)

    asynchronous.run(serve())


def test_uploads_are_deleted_within_the_hour():
    assert cleanup.MAX_AGE + cleanup.INTERVAL < 3600


def test_the_examples_outlive_every_cleanup(hosted):
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    before = {path for path in uploads.rglob("*") if path.suffix == ".jpg"}
    assert len(before) == 8
