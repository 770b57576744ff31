"""Everything that the page uses of Gradio and uvicorn without their documenting it.

`CNN_GRADIO_INTERNALS=0` runs the page without any of it. It then works, but is slower and less
protected, by what each function names. tests/web/test_gradio_internals.py fails where a new
version of Gradio has changed one of them.
"""

import logging
import math
import time
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace

import gradio as gr
import gradio.routes
import uvicorn.protocols.http.auto
from fastapi import FastAPI
from gradio import Blocks
from gradio.blocks import Block
from gradio.state_holder import SessionState, StateHolder

from cnn import settings
from cnn.web.server import logs
from cnn.web.server.limits import address_key
from cnn.web.server.presence import Presence

MAX_SESSIONS = 1_000
MAX_SESSIONS_PER_ADDRESS = 150  # of those that never held a stream
ONE_OFF_TTL = 20  # seconds, of a session that keeps nothing
NO_BROWSER_TTL = 3 * 60  # of a session that never held a stream
AWAY_TTL = 15 * 60  # after the page was closed
SESSION_TTL = 24 * 60 * 60
LISTENER_SECONDS = 10.0  # until a training job that nobody watches ends
UNREAD_SECONDS = 60.0  # until an answer that nobody reads is dropped
MAX_UNREAD = 200  # answers of all sessions that nobody has begun to read
HEAD_SECONDS = 15.0  # for a request's headers to arrive
MAX_HEAD = 64_000  # bytes of them
READ_SECONDS = 30.0  # for a client to read some of what it was sent
UPLOAD_TTL = 2 * 60  # seconds, longer than an upload may take
MALFORMED = "These values do not fit what was asked for. Load the page again."
_REFUSED = "cnn.refused"  # in the scope of a request

_log = logging.getLogger(__name__)


def session_state(create: Callable[[], object]) -> gr.State:
    """Return a State whose first value in each session is what `create` returns.

    Gradio calls `create` at the first use and once more by an event when the page loads. Gain:
    without this the second object replaces the first, whose token the pad may have by then.
    """
    state = gr.State(create)
    if settings.gradio_internals():
        state.load_event_to_attach = None
    return state


def count_events(page: Blocks, session: str) -> int:
    """Return how many events of a session have not been read to their end.

    Gain: one session cannot fill the queue (300) or the memory (1.3 MB per answer). Without: 0.
    """
    return len(page._queue.pending_event_ids_session.get(session, ())) if _enabled() else 0


def count_events_from(page: Blocks, address: str) -> int:
    """Return how many events of an address wait or run.

    Gain: one address cannot fill the queue (300) with events of sessions it makes up. Without: 0.
    """
    events = list(page._queue.event_ids_to_events.values()) if _enabled() else ()
    clients = (event.request.client for event in events if event.request)
    return sum(client is not None and address_key(client.host) == address for client in clients)


def has_events(page: Blocks, session: str) -> bool:
    """Return whether a session has answers to listen to. Without: True.

    Gain: to others Gradio sends half a response, and writes a traceback into the log.
    """
    return not _enabled() or session in page._queue.pending_messages_per_session


def is_event(page: Blocks, event: str) -> bool:
    """Return whether an event's answer can be listened to; see `has_events`."""
    queue = page._queue
    if not _enabled() or event in queue.event_ids_to_events:
        return True
    return any(event in events for events in queue.pending_event_ids_session.values())


def handle_errors(page: Blocks) -> None:
    """Let every event that fails answer with a sentence, and log an error in a line.

    Gain: Gradio writes a traceback of up to 80 lines for each value of a wrong type, 200 a second,
    and answers with status 500 what was refused with a sentence; see `was_refused`.
    """
    if not _enabled():
        return
    preprocess, process = page.preprocess_data, page.process_api

    async def preprocess_data(function, *args, **options):
        try:
            values = await preprocess(function, *args, **options)
            for block, value in zip(function.inputs, values, strict=False):
                _check_value(block, value)
            return values
        except gr.Error:
            raise
        except Exception as error:
            _log.debug("An event's values were refused.", exc_info=error)
            raise gr.Error(MALFORMED) from None

    async def process_api(*args, **options):
        try:
            return await process(*args, **options)
        except gr.Error as error:
            error.print_exception = False
            if isinstance(options.get("request"), gr.Request):
                options["request"].request.scope[_REFUSED] = True
            raise
        except Exception as error:
            logs.log_exception(_log, "An event ended with an error.", error)
            raise gr.Error("Something went wrong here.", print_exception=False) from None

    page.preprocess_data, page.process_api = preprocess_data, process_api


def _check_value(block: Block, value: object) -> None:
    """Raise a `ValueError` for a list or nothing where Gradio lets either pass as a value."""
    if isinstance(block, gr.Dropdown) and isinstance(value, list) and not block.multiselect:
        raise ValueError("a list for one choice")
    if isinstance(block, gr.Dataset | gr.UploadButton) and value is None:
        raise ValueError("nothing chosen")


def was_refused(scope: dict) -> bool:
    """Return whether the event of a request was refused with a sentence; see `handle_errors`."""
    return _REFUSED in scope


def _enabled() -> bool:
    return settings.gradio_internals()


class _Session(SessionState):
    """A session that keeps no description of its page, which only Gradio's deep links need.

    Gain: describing the page costs 16 ms of the event loop per visitor, and parts of it at each
    answer.
    """

    def __init__(self, page: Blocks):
        super().__init__(SimpleNamespace(default_config=page.default_config, blocks=()))
        self.blocks_config.config_for_block = lambda *_: {}


class Sessions(StateHolder):
    """Gradio's sessions: quickly begun, expired within minutes, visitors on the page last.

    Gain: without it 1,000 made-up sessions evict those of all visitors, and each is kept until
    then.
    """

    presence: Presence

    @classmethod
    def install(cls, host: FastAPI, page: Blocks, presence: Presence) -> "Sessions":
        """Let a server keep the sessions of a page here from now on."""
        host.state_holder = sessions = cls()
        sessions.presence = presence
        sessions.set_blocks(page)
        sessions.capacity = math.inf  # Gradio would evict the least recently used
        return sessions

    def __getitem__(self, session: str) -> SessionState:
        if session not in self.session_data:
            self._make_room(session)
            self.session_data[session] = _Session(self.blocks)
        return super().__getitem__(session)

    def _make_room(self, session: str) -> None:
        """Evict sessions without a browser first, and those of an address that has too many."""
        address = self.presence.address(session)
        same = [
            other
            for other in self.session_data
            if not self.presence.had_stream(other) and self.presence.address(other) == address
        ]
        if len(same) >= MAX_SESSIONS_PER_ADDRESS:
            self._forget(same[0])
        if len(self.session_data) >= MAX_SESSIONS:
            self._forget(min(self.session_data, key=self._worth))

    def _worth(self, session: str) -> tuple:
        open_, had_stream = self.presence.is_open(session), self.presence.had_stream(session)
        return open_, had_stream, self.time_last_used.get(session, datetime.min)

    def _forget(self, session: str) -> None:
        self.delete_state(session)
        self.session_data.pop(session, None)
        self.time_last_used.pop(session, None)

    def expire(self, now: datetime) -> None:
        """Forget sessions that are over, and tell visitors whether their page is open.

        A heartbeat that was interrupted and has come back counts as if it never ended.
        """
        self._tell_visitors()
        for session, state in list(self.session_data.items()):
            is_open = self.presence.is_open(session)
            state.is_closed = not is_open and self.presence.had_stream(session)
            if is_open:
                limit = SESSION_TTL
            elif not state.state_data:
                limit = ONE_OFF_TTL
            else:
                limit = AWAY_TTL if self.presence.had_stream(session) else NO_BROWSER_TTL
            idle = (now - self.time_last_used.get(session, now)).total_seconds()
            if not is_open:
                idle = min(idle, self.presence.absent_seconds(session))
            if idle > limit:
                self._forget(session)

    def _tell_visitors(self) -> None:
        """Tell each visitor of the page of theirs that was open last; several may share one."""
        pages: dict[object, list[str]] = {}
        for session, state in self.session_data.items():
            for value in list(state.state_data.values()):
                if hasattr(value, "leave"):
                    pages.setdefault(value, []).append(session)
        for visitor, sessions in pages.items():
            latest = min(sessions, key=self.presence.absent_seconds)
            visitor.present = self.presence.is_open(latest)
            visitor.address = self.presence.address(latest)
            if self.presence.absent_seconds(latest) > LISTENER_SECONDS:
                visitor.leave()


class UnreadAnswers:
    """Drops answers that nobody has begun to read within `UNREAD_SECONDS`.

    Where more than `MAX_UNREAD` wait, those of the sessions that wait longest go too. Gain: 250
    calls whose answers nobody fetches otherwise keep 320 MB until 2,000 sessions are exceeded.
    """

    def __init__(self, page: Blocks):
        self._queue = page._queue
        self._seen: dict[str, tuple[object, float]] = {}  # the oldest message, and since when

    async def drop(self, now: float) -> None:
        """Drop what is due at `now`, in seconds of `time.monotonic`."""
        pending = self._queue.pending_messages_per_session
        seen = {}
        for session, messages in list(pending.items()):
            if messages.empty():
                events = self._queue.pending_event_ids_session.get(session)
                if not events and not messages._getters:
                    pending.pop(session, None)
                    self._queue.pending_event_ids_session.pop(session, None)
                continue
            oldest, since = messages._queue[0], now
            if session in self._seen and self._seen[session][0] is oldest:
                since = self._seen[session][1]
            seen[session] = (oldest, since)
        by_age = sorted(seen, key=lambda session: seen[session][1])
        unread = sum(map(self._answers, seen))
        for session in by_age:
            if now - seen[session][1] <= UNREAD_SECONDS and unread <= MAX_UNREAD:
                break
            unread -= self._answers(session)
            await self._queue.clean_events(session_hash=session)
            pending.pop(session, None)
            self._queue.pending_event_ids_session.pop(session, None)
            seen.pop(session, None)
        self._seen = seen

    def _answers(self, session: str) -> int:
        messages = self._queue.pending_messages_per_session[session]._queue
        return sum(hasattr(message, "output") for message in messages)


class UploadProgress:
    """Forgets how far an upload was, `UPLOAD_TTL` seconds after it was first asked for.

    Gain: Gradio keeps each name that an upload or a question about one had, for ever.
    """

    def __init__(self):
        self._known: dict[str, float] = {}  # since when

    def drop(self, now: float) -> None:
        """Forget what is due at `now`, in seconds of `time.monotonic`."""
        uploads = gradio.routes.file_upload_statuses
        names = {*uploads._signals, *uploads._statuses}
        self._known = {name: self._known.get(name, now) for name in names}
        for name, since in self._known.items():
            if now - since > UPLOAD_TTL:
                uploads._signals.pop(name, None)
                uploads.stop_tracking(name)


class SlowConnections:
    """Closes connections whose client sends no complete head, or reads nothing, for too long.

    Gain: uvicorn waits for ever, for heads `HEAD_SECONDS` here and for what it has sent
    `READ_SECONDS`. Each such connection holds a file descriptor, and an answer of up to 1.3 MB.
    """

    def __init__(self):
        self._waiting: dict[object, tuple[object, float]] = {}
        self._unread: dict[object, tuple[int, float]] = {}  # bytes, and since when

    def close(self, page: Blocks, now: float) -> None:
        """Close what is due at `now`, in seconds of `time.monotonic`."""
        state = getattr(getattr(page, "server", None), "server_state", None)
        waiting, unread = {}, {}
        for connection in list(state.connections if state else ()):
            size = connection.transport.get_write_buffer_size()
            before, since = self._unread.get(connection, (0, now))
            if size and size == before and now - since > READ_SECONDS:
                connection.transport.abort()  # `close` would wait until all is read
                continue
            unread[connection] = (size, since if size == before else now)
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                continue
            last, since = self._waiting.get(connection, (None, now))
            since = since if connection in self._waiting and last is cycle else now
            if now - since > HEAD_SECONDS:
                connection.transport.close()
            else:
                waiting[connection] = (cycle, since)
        self._waiting, self._unread = waiting, unread


def limit_heads() -> None:
    """Refuse requests whose head, or what follows their body, exceeds `MAX_HEAD` bytes.

    Gain: where httptools is installed uvicorn joins a head that never ends piece by piece. Four
    connections stopped everybody for six seconds at a time and took 280 MB. h11 has such a limit.
    """
    base = uvicorn.protocols.http.auto.AutoHTTPProtocol
    if not _enabled() or not hasattr(base, "on_headers_complete"):
        return

    class Protocol(base):
        _advanced, _size = False, 0

        def data_received(self, data: bytes) -> None:
            self._advanced = False
            super().data_received(data)
            self._size = 0 if self._advanced else self._size + len(data)
            if self._size > MAX_HEAD and not self.transport.is_closing():
                self.send_400_response("The head of this request is too large.")

        def on_headers_complete(self) -> None:
            self._advanced = True
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._advanced = True
            super().on_body(body)

    if not hasattr(base, "_advanced"):
        uvicorn.protocols.http.auto.AutoHTTPProtocol = Protocol


class Housekeeping:
    """All that is to be done every few seconds inside Gradio, for a page that is served."""

    def __init__(self, host: FastAPI, page: Blocks, presence: Presence):
        self._page = page
        self._sessions = Sessions.install(host, page, presence) if _enabled() else None
        self._unread, self._slow = UnreadAnswers(page), SlowConnections()
        self._uploads = UploadProgress()

    async def run(self) -> None:
        """Expire sessions, answers and connections."""
        if self._sessions:
            self._sessions.expire(datetime.now())
            await self._unread.drop(time.monotonic())
            self._slow.close(self._page, time.monotonic())
            self._uploads.drop(time.monotonic())
