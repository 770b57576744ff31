"""What the footer promises: images and files go within the hour, the rest after a visit.

Each kind of session is held to it: of a browser that left, of one that stays open, of a page that
was loaded again, and of a program without a page.
"""

import contextlib
import gc
import itertools
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from PIL.Image import Image
from support.learner import checkpoint

from cnn.data import synthetic
from cnn.web import app
from cnn.web.server import cleanup, gradio_internals
from cnn.web.session import VisitorSession
from cnn.web.tabs.draw_sheet import Sheet

DEADLINE = 120.0  # seconds
NUMBERS = itertools.count()


class Traces(NamedTuple):
    """What a visit left on the server."""

    file: Path
    visitor: Callable[[], VisitorSession | None]
    network: Callable[[], object]


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("CNN_RATE_LIMIT", "10000")
        patch.setattr(cleanup, "INTERVAL", 0.05)
        blocks = app.serve(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        yield blocks
        blocks.close()


@contextlib.contextmanager
def opened(blocks, session: str) -> Iterator[None]:
    """Keep a page open, as a browser does."""
    url = f"{blocks.local_url}gradio_api/heartbeat/{session}"
    with httpx.stream("GET", url, timeout=DEADLINE) as heartbeat:
        beats = heartbeat.iter_text()  # without it the stream is closed
        next(beats)
        yield


def call(blocks, session: str, function: str, *data: object, **event_data: object) -> list:
    number = next(n for n, fn in blocks.fns.items() if fn.api_name == function)
    missing = [None] * (len(blocks.fns[number].inputs) - len(data))
    body = {"data": [*data, *missing], "fn_index": number, "session_hash": session}
    url = f"{blocks.local_url}gradio_api/run/predict"
    answer = httpx.post(url, json=body | {"event_data": event_data}, timeout=DEADLINE)
    answer.raise_for_status()
    return answer.json()["data"]


def states(blocks, session: str) -> list:
    holder = blocks.app.state_holder
    return list(holder.session_data[session].state_data.values()) if session in holder else []


def visit(blocks, session: str, photograph: Path) -> Traces:
    """Draw, show and upload a photograph, keep a drawing and a network."""
    call(blocks, session, "resume", token=None)
    call(blocks, session, "settle", synthetic.example(7))
    (path,) = httpx.post(
        f"{blocks.local_url}gradio_api/upload",
        files={"files": (f"{session}.png", photograph.read_bytes())},
    ).json()
    photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert "probabilities" in str(call(blocks, session, "look", photo))
    assert "data:image" in str(call(blocks, session, "read", **photo))
    (visitor,) = (value for value in states(blocks, session) if isinstance(value, VisitorSession))
    visitor.keep_example(synthetic.example(7), 7)
    visitor.keep("mine", checkpoint()._replace(network=type("Network", (), {})()))
    assert Path(path).exists()
    return Traces(Path(path), weakref.ref(visitor), weakref.ref(visitor.get("mine").network))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it is still there"
        gc.collect()
        time.sleep(0.05)


def gone(traces: Traces) -> bool:
    return traces.visitor() is None and traces.network() is None


@pytest.fixture
def session():
    return f"session{next(NUMBERS)}"


@pytest.fixture
def hour_passes(monkeypatch):
    """Lets what is to last an hour, a quarter of one or three minutes be over from now on."""

    def set_times() -> None:
        monkeypatch.setattr(cleanup, "MAX_AGE", 0)
        monkeypatch.setattr(gradio_internals, "AWAY_TTL", 0)
        monkeypatch.setattr(gradio_internals, "NO_BROWSER_TTL", 0)

    return set_times


def test_after_a_browser_has_left_all_goes(blocks, session, photograph, hour_passes):
    with opened(blocks, session):
        traces = visit(blocks, session, photograph)
    hour_passes()
    wait_until(lambda: gone(traces) and not traces.file.exists())
    assert not states(blocks, session)


def test_a_program_without_a_page_leaves_nothing_either(blocks, session, photograph, hour_passes):
    traces = visit(blocks, session, photograph)
    hour_passes()
    wait_until(lambda: gone(traces) and not traces.file.exists())
    assert not states(blocks, session)


def test_a_page_that_stays_open_keeps_networks_for_a_day_and_no_image(
    blocks, session, photograph, hour_passes, monkeypatch
):
    with opened(blocks, session):
        traces = visit(blocks, session, photograph)
        read = call(blocks, session, "predict_again")
        hour_passes()
        wait_until(lambda: not traces.file.exists())
        assert states(blocks, session)
        (sheet,) = (value for value in states(blocks, session) if isinstance(value, Sheet))
        assert not any(isinstance(held, Image) for held in vars(sheet).values())
        assert call(blocks, session, "predict_again") == read
        assert not gone(traces)
        monkeypatch.setattr(gradio_internals, "SESSION_TTL", 0)
        wait_until(lambda: gone(traces))


def test_a_page_that_is_loaded_again_keeps_the_session_until_it_is_left_too(
    blocks, session, photograph, hour_passes
):
    with opened(blocks, session):
        traces = visit(blocks, session, photograph)
    again = f"{session}-again"
    with opened(blocks, again):
        call(blocks, again, "resume", token=traces.visitor().token)
        hour_passes()
        wait_until(lambda: not states(blocks, session))
        assert not gone(traces)
    wait_until(lambda: gone(traces) and not traces.file.exists())
    assert not states(blocks, again)
