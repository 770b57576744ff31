"""Many at once: each is answered in turn, and nobody is sent away for what the others do."""

import asyncio
import io
import json
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import Image
from support.crowd import DIGITS, Asked, Page, Visitor, look, show
from support.server import running_app

from cnn import UserError
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint

T = TypeVar("T")
PUPILS = 30
QUESTIONS = 30  # a second of drawing


def _photograph() -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").save(file, "PNG")
    return file.getvalue()


def _run(coroutine: Coroutine[None, None, T]) -> T:
    with ThreadPoolExecutor() as beside:  # this thread may have a browser's loop already
        return beside.submit(asyncio.run, coroutine).result()


def test_photographs_that_come_all_at_once_are_answered_one_after_another(hosted):
    shown, photo = Asked(), _photograph()

    async def come() -> None:
        visitors = [Visitor(hosted, number) for number in range(150)]
        await asyncio.gather(*(show(visitor, photo, shown) for visitor in visitors))
        for visitor in visitors:
            visitor.close()

    _run(come())
    assert not shown.faults
    assert len(shown.milliseconds) == 150


def test_nobody_of_a_class_of_thirty_behind_one_address_is_turned_away(tmp_path):
    """All draw and show a photograph, as fast as they are answered, under the usual limits."""
    drawn, shown, photo = Asked(), Asked(), _photograph()

    async def learn(address: str) -> None:
        pupil = Visitor(address)
        page = await Page.of(pupil)
        for question in range(QUESTIONS):
            final = question % 10 == 9
            await look(pupil, page, DIGITS[question % 10], final, drawn)
        await show(pupil, photo, shown)
        pupil.close()

    async def teach(address: str) -> None:
        await asyncio.gather(*(learn(address) for _ in range(PUPILS)))

    with (tmp_path / "log").open("w") as log:
        with running_app(log, GRADIO_TEMP_DIR=str(tmp_path / "uploads")) as address:
            _run(teach(address))
    assert not drawn.faults + shown.faults
    assert drawn.turned_away == 0
    assert (len(drawn.milliseconds), len(shown.milliseconds)) == (PUPILS * QUESTIONS, PUPILS)


def test_the_page_answers_while_a_visitors_checkpoint_is_loaded(hosted, monkeypatch):
    loading, go = threading.Event(), threading.Event()

    def load(path: str) -> Checkpoint:
        loading.set()
        assert go.wait(60)
        raise UserError("That is no checkpoint.")

    monkeypatch.setattr(checkpoints, "load", load)

    async def upload() -> str:
        visitor, other = Visitor(hosted), Visitor(hosted, 1)
        config = json.loads(await visitor.ask("/config"))
        button = next(c["id"] for c in config["components"] if c["type"] == "uploadbutton")
        event = next(f for f in config["dependencies"] if [button, "upload"] in f["targets"])
        file = await visitor.upload("mine.safetensors", b"weights")
        body = {"data": [file, None], "fn_index": event["id"], "session_hash": visitor.session}
        await visitor.ask("/gradio_api/queue/join", body)
        await asyncio.to_thread(loading.wait, 60)
        drawn = Asked()
        await look(other, await Page.of(other), DIGITS[3], True, drawn)
        assert not drawn.faults and not go.is_set()
        go.set()
        return (
            await visitor.ask(f"/gradio_api/queue/data?session_hash={visitor.session}")
        ).decode()

    assert "That is no checkpoint." in _run(upload())
