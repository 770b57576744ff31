"""What is used of Gradio without its documenting it: each fails when a new version changes it."""

import contextlib
import select
import socket
from types import SimpleNamespace

import gradio.queueing
import gradio.routes
import httpx
import pytest
from support.small_page import small_page

from cnn.web.server import gradio_internals
from cnn.web.server.gradio_internals import (
    MAX_HEAD,
    READ_SECONDS,
    UNREAD_SECONDS,
    UPLOAD_TTL,
    UnreadAnswers,
    UploadProgress,
    count_events,
)
from cnn.web.server.middleware import MAX_EVENTS, MAX_EVENTS_PER_ADDRESS

PAGE_QUEUE = 300  # events that the page lets wait


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        with small_page() as (page, presence):
            yield page, presence


def _join(page, session: str) -> httpx.Response:
    number = next(number for number, fn in page.fns.items() if fn.api_name == "echo")
    body = {"data": [None, "x"], "fn_index": number, "session_hash": session}
    return httpx.post(f"{page.local_url}gradio_api/queue/join", json=body)


def _wait_for_answers(page, session: str, count: int = 1) -> None:
    messages = page._queue.pending_messages_per_session[session]
    while sum(getattr(m, "msg", "") == "process_completed" for m in list(messages._queue)) < count:
        httpx.get(f"{page.local_url}healthz")


def test_a_session_has_at_most_twenty_open_events(served):
    page, _ = served
    statuses = [_join(page, "greedy").status_code for _ in range(MAX_EVENTS + 3)]
    assert statuses == [200] * MAX_EVENTS + [429] * 3
    assert count_events(page, "greedy") == MAX_EVENTS


def _run(coroutine) -> None:
    """Run to the end a coroutine that waits for nothing but locks that are free."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_answers_that_nobody_reads_are_dropped_after_a_minute(served):
    page, _ = served
    assert _join(page, "forgetful").status_code == 200
    _wait_for_answers(page, "forgetful")
    unread = UnreadAnswers(page)
    _run(unread.drop(now=0))
    _run(unread.drop(now=UNREAD_SECONDS - 1))
    assert "forgetful" in page._queue.pending_messages_per_session
    _run(unread.drop(now=UNREAD_SECONDS + 1))
    assert "forgetful" not in page._queue.pending_messages_per_session
    assert count_events(page, "forgetful") == 0


def test_of_too_many_unread_answers_those_that_wait_longest_are_dropped(served, monkeypatch):
    page, _ = served
    monkeypatch.setattr(gradio_internals, "MAX_UNREAD", 3)
    unread = UnreadAnswers(page)
    for moment, session in enumerate(("first", "second", "third")):
        for _ in range(2):
            assert _join(page, session).status_code == 200
        _wait_for_answers(page, session, count=2)
        _run(unread.drop(now=moment))
    kept = [session for session in ("first", "second", "third") if count_events(page, session)]
    assert kept == ["third"]


def test_a_session_that_an_event_names_twice_is_the_last_as_gradio_reads_it(served):
    page, _ = served
    number = next(number for number, fn in page.fns.items() if fn.api_name == "echo")
    names = '"session_hash": "decoy{}", "session\\u005fhash": "eager"'
    statuses = []
    for count in range(MAX_EVENTS + 3):
        body = f'{{"data": [null, "x"], "fn_index": {number}, {names.format(count)}}}'
        join = f"{page.local_url}gradio_api/queue/join"
        headers = {"Content-Type": "application/json"}
        statuses.append(httpx.post(join, content=body, headers=headers).status_code)
    assert statuses == [200] * MAX_EVENTS + [429] * 3


def test_the_events_of_an_address_are_counted_until_they_end(served):
    page, _ = served
    fn = next(fn for fn in page.fns.values() if fn.api_name == "echo")
    for number, host in enumerate(("192.0.2.1", "192.0.2.1", "2001:db8::1")):
        request = SimpleNamespace(client=SimpleNamespace(host=host))
        event = gradio.queueing.Event(f"waits {number}", fn, request, None)
        page._queue.event_ids_to_events[event._id] = event
    assert gradio_internals.count_events_from(page, "192.0.2.1") == 2
    assert gradio_internals.count_events_from(page, "2001:db8::/64") == 1
    page._queue.event_ids_to_events.clear()
    _join(page, "ends")
    _wait_for_answers(page, "ends")
    while gradio_internals.count_events_from(page, "127.0.0.1"):
        httpx.get(f"{page.local_url}healthz")


def test_an_address_cannot_fill_the_queue_with_sessions_it_makes_up(served, monkeypatch):
    page, _ = served
    monkeypatch.setattr(gradio_internals, "count_events_from", lambda *_: MAX_EVENTS_PER_ADDRESS)
    refused = _join(page, "made-up")
    assert refused.status_code == 503
    assert refused.json()["detail"].endswith(".")
    monkeypatch.setattr(
        gradio_internals, "count_events_from", lambda *_: MAX_EVENTS_PER_ADDRESS - 1
    )
    assert _join(page, "made-up").status_code == 200
    assert 2 * MAX_EVENTS_PER_ADDRESS <= PAGE_QUEUE


def test_the_progress_of_an_upload_is_forgotten_after_it(served):
    page, _ = served
    url, photo = f"{page.local_url}gradio_api/upload", {"files": ("a.png", b"x")}
    assert httpx.post(url, params={"upload_id": "mine"}, files=photo).status_code == 200
    uploads, progress = gradio.routes.file_upload_statuses, UploadProgress()
    progress.drop(now=0)
    progress.drop(now=UPLOAD_TTL)
    assert "mine" in uploads._statuses and "mine" in uploads._signals
    progress.drop(now=UPLOAD_TTL + 1)
    assert "mine" not in uploads._statuses and "mine" not in uploads._signals
    progress.drop(now=UPLOAD_TTL + 2)
    assert "mine" not in progress._known


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"GET /",
        b"POST /predictions/drawing HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
    ids=["a header", "a path", "a trailer"],
)
def test_a_head_that_never_ends_is_refused(served, head):
    page, _ = served
    sent = 0
    with socket.create_connection(("127.0.0.1", page.server_port), timeout=30) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head)
            while sent < 100 * MAX_HEAD and not select.select([connection], [], [], 0)[0]:
                connection.sendall(b"x" * 1_000)
                sent += 1_000
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert sent < 100 * MAX_HEAD


def test_a_long_body_is_no_head(served):
    page, _ = served
    photo = {"files": ("a.png", bytes(20 * MAX_HEAD))}
    assert httpx.post(f"{page.local_url}gradio_api/upload", files=photo).status_code == 200


def test_an_answer_that_is_read_is_kept_until_then(served):
    page, _ = served
    _join(page, "reader")
    url = f"{page.local_url}gradio_api/queue/data?session_hash=reader"
    assert '"success":true' in httpx.get(url, timeout=30).text


def test_an_open_stream_is_seen_and_its_end_too(served):
    page, presence = served
    url = f"{page.local_url}gradio_api/heartbeat/visitor"
    with httpx.stream("GET", url) as stream:
        chunks = stream.iter_text()
        next(chunks)
        assert presence.is_open("visitor")
        assert presence.address("visitor") == "127.0.0.1"
    while presence.is_open("visitor"):
        httpx.get(f"{page.local_url}healthz")
    assert presence.had_stream("visitor")


class Connection:
    """Stands in for uvicorn's protocol, with `unread` bytes that the client has not read."""

    def __init__(self, cycle):
        self.cycle, self.transport, self.unread, self.ended = cycle, self, 0, False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def close(self) -> None:
        self.ended = True

    abort = close


def _serving(*connections: Connection) -> SimpleNamespace:
    state = SimpleNamespace(connections=list(connections))
    return SimpleNamespace(server=SimpleNamespace(server_state=state))


def test_a_connection_without_a_request_is_closed(served):
    page, _ = served
    connections = gradio_internals.SlowConnections()
    idle, busy = Connection(None), Connection(SimpleNamespace(response_complete=False))
    stand_in = _serving(idle, busy)
    connections.close(stand_in, now=0)
    connections.close(stand_in, now=gradio_internals.HEAD_SECONDS - 1)
    assert not idle.ended
    connections.close(stand_in, now=gradio_internals.HEAD_SECONDS + 1)
    assert idle.ended and not busy.ended
    with httpx.stream("GET", f"{page.local_url}gradio_api/heartbeat/a") as stream:
        chunks = stream.iter_text()
        next(chunks)
        real = list(page.server.server_state.connections)
        assert real
        for one in real:
            assert hasattr(one, "cycle") and hasattr(one.transport, "close")
            assert one.transport.get_write_buffer_size() == 0 and hasattr(one.transport, "abort")


def test_a_connection_whose_client_reads_nothing_is_closed():
    connections = gradio_internals.SlowConnections()
    answering = SimpleNamespace(response_complete=False)
    deaf, slow = Connection(answering), Connection(answering)
    for seconds in range(0, int(2 * READ_SECONDS), 5):
        deaf.unread, slow.unread = 70_000, 70_000 - 100 * seconds
        connections.close(_serving(deaf, slow), now=seconds)
        assert deaf.ended == (seconds > READ_SECONDS)
    assert not slow.ended
