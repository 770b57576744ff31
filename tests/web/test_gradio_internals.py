"""What is used of Gradio without its documenting it: each fails when a new version changes it."""

import contextlib
import select
import socket
from datetime import datetime, timedelta
from types import SimpleNamespace

import gradio as gr
import gradio.queueing
import gradio.routes
import httpx
import pytest
from gradio.state_holder import SessionState
from support.small_page import Kept, build, small_page

from cnn.web.server import gradio_internals
from cnn.web.server.gradio_internals import (
    AWAY_TTL,
    LISTENER_SECONDS,
    MAX_HEAD,
    MAX_SESSIONS,
    MAX_SESSIONS_PER_ADDRESS,
    NO_BROWSER_TTL,
    READ_SECONDS,
    UNREAD_SECONDS,
    UPLOAD_TTL,
    Sessions,
    UnreadAnswers,
    UploadProgress,
    count_events,
)
from cnn.web.server.middleware import MAX_EVENTS, MAX_EVENTS_PER_ADDRESS
from cnn.web.server.presence import Presence

PAGE_QUEUE = 300  # events that the page lets wait
NOW = datetime(2026, 1, 1)


class Clock:
    """Stands in for the module `time`."""

    def __init__(self):
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("cnn.web.server.presence.time", clock)
    return clock


@pytest.fixture(scope="module")
def page():
    return build()


@pytest.fixture
def sessions(page):
    return Sessions.install(SimpleNamespace(), page, Presence())


def keep(sessions, name, idle=0.0):
    """Begin a session that keeps something and was used last `idle` seconds ago."""
    kept = sessions[name]
    (state,) = (number for number, block in kept.blocks_config.blocks.items() if block.stateful)
    value = kept[state]
    sessions.time_last_used[name] = NOW - timedelta(seconds=idle)
    return value


def test_a_session_is_gradios_own_but_for_the_description_of_the_page(page, sessions):
    session, usual = sessions["somebody"], SessionState(page)
    assert vars(session).keys() == vars(usual).keys()
    assert session.blocks_config.blocks == usual.blocks_config.blocks
    block = next(number for number, block in page.blocks.items() if not block.stateful)
    other = gr.HTML(render=False)
    for one in (session, usual):
        one._update_value_in_config(block, "mine")
        one._update_config(block)
        one[block] = other
        assert one[block] is other
    assert not any(session.config_values.values())
    assert page.blocks[block] is not other


def test_each_session_has_one_object_of_its_own(sessions):
    first, second = keep(sessions, "first"), keep(sessions, "second")
    assert isinstance(first, Kept)
    assert first is not second
    assert keep(sessions, "first") is first


def test_a_page_that_loads_does_not_replace_its_sessions_object(page):
    assert not any((event == "load") for fn in page.fns.values() for _, event in fn.targets)


def test_without_the_internals_gradio_makes_the_object_by_an_event(monkeypatch):
    monkeypatch.setenv("CNN_GRADIO_INTERNALS", "0")
    page = build()
    assert any((event == "load") for fn in page.fns.values() for _, event in fn.targets)
    assert count_events(page, "somebody") == 0


def test_sessions_expire_by_what_is_known_of_their_page(sessions, clock):
    presence = sessions.presence
    for name in ("here", "left", "just left"):
        presence.opened(name, "192.0.2.1")
        keep(sessions, name, idle=3_600)
    presence.closed("left")
    presence.see("program", "192.0.2.1")
    keep(sessions, "program", idle=NO_BROWSER_TTL + 1)
    clock.now += AWAY_TTL + 1
    presence.closed("just left")
    presence.see("new program", "192.0.2.1")
    keep(sessions, "new program", idle=1)
    sessions.expire(NOW)
    assert set(sessions.session_data) == {"here", "just left", "new program"}


def test_a_heartbeat_that_comes_back_counts(sessions, clock):
    presence = sessions.presence
    presence.opened("visitor", "192.0.2.1")
    value = keep(sessions, "visitor", idle=3_600)
    presence.closed("visitor")
    sessions.expire(NOW)
    assert sessions.session_data["visitor"].is_closed and value.present is False
    presence.opened("visitor", "192.0.2.1")
    clock.now += 10 * AWAY_TTL
    sessions.expire(NOW)
    assert not sessions.session_data["visitor"].is_closed and value.present is True
    assert sessions["visitor"][next(iter(sessions["visitor"].state_data))] is value


def test_a_visitor_with_two_pages_is_there_as_long_as_one_of_them_is_open(sessions, clock):
    presence = sessions.presence
    for name, address in (("first", "192.0.2.1"), ("second", "192.0.2.2")):
        presence.opened(name, address)
    value = keep(sessions, "first")
    keep(sessions, "second")
    second = sessions["second"]
    second.state_data[next(iter(second.state_data))] = value
    presence.closed("first")
    clock.now += LISTENER_SECONDS + 1
    sessions.expire(NOW)
    assert (value.present, value.address, value.left) == (True, "192.0.2.2", False)
    presence.closed("second")
    clock.now += LISTENER_SECONDS + 1
    sessions.expire(NOW)
    assert value.present is False and value.left


def test_who_no_longer_listens_is_told_to_leave(sessions, clock):
    presence = sessions.presence
    for name in ("listens", "gone", "never listened"):
        presence.see(name, "192.0.2.1")
    for name in ("listens", "gone"):
        presence.opened(name, "192.0.2.1")
    presence.closed("gone")
    values = {name: keep(sessions, name) for name in ("listens", "gone", "never listened")}
    sessions.expire(NOW)
    assert not any(value.left for value in values.values())
    clock.now += LISTENER_SECONDS + 1
    sessions.expire(NOW)
    assert [value.left for value in values.values()] == [False, True, True]
    assert values["listens"].address == "192.0.2.1"


def test_made_up_sessions_take_no_visitors_place(sessions):
    presence = sessions.presence
    for number in range(20):
        presence.opened(f"visitor {number}", f"192.0.2.{number}")
        keep(sessions, f"visitor {number}")
    for number in range(2 * MAX_SESSIONS):
        presence.see(f"made up {number}", f"198.51.{number % 20}.1")
        keep(sessions, f"made up {number}")
    assert len(sessions.session_data) <= MAX_SESSIONS
    assert all(f"visitor {number}" in sessions.session_data for number in range(20))


def test_one_address_has_a_share_of_the_sessions_without_a_page(sessions):
    for number in range(2 * MAX_SESSIONS_PER_ADDRESS):
        sessions.presence.see(f"made up {number}", "198.51.100.1")
        keep(sessions, f"made up {number}")
    assert len(sessions.session_data) == MAX_SESSIONS_PER_ADDRESS


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
