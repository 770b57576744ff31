"""What a host relies on: limits, headers, the log, and that no file is read or kept unasked."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from support import asynchronous, small_page

import cnn
from cnn.models import checkpoints
from cnn.web.server import middleware, routes
from cnn.web.server.middleware import (
    BYTES_PER_REQUEST,
    EVENTS_PER_ADDRESS,
    MEGABYTE,
    SESSIONS_PER_ADDRESS,
    WAIT_SECONDS,
    RequestGuard,
)

ROOT = Path(__file__).parents[2]
SECRET = "cnn/__init__.py"


def test_health_names_the_version_and_the_networks(hosted):
    answer = httpx.get(f"{hosted}healthz").json()
    names = [path.stem for path in checkpoints.list_files(ROOT / "checkpoints")]
    assert answer == {"version": cnn.__version__, "networks": names}


# Files that are served


WAYS = [
    f"../{SECRET}",
    f"../../../../../../../..{ROOT}/{SECRET}",
    f"{ROOT}/{SECRET}",
    f"/{ROOT}/{SECRET}",
    f"..%2F..%2F..%2F..%2F..%2F..{ROOT}/{SECRET}",
    f"%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{ROOT}/{SECRET}",
    f"..%252F..%252F..%252F..%252F..{ROOT}/{SECRET}",
    f"..\\..\\..\\..\\..\\..{ROOT}/{SECRET}",
    f"....//....//....//....//....//..{ROOT}/{SECRET}",
    f"file://{ROOT}/{SECRET}",
    f"{ROOT}/assets/../{SECRET}",
    f"{ROOT}/{SECRET}%00.png",
    "/etc/passwd",
    "/proc/self/environ",
]
ROUTES = [
    *("static/", "assets/", "svelte/", "file/", "file=", "gradio_api/file/", "gradio_api/file="),
    *("gradio_api/proxy=", "proxy=", "gradio_api/custom_component/image/component/", "pwa_icon/"),
    *("gradio_api/stream/a/b/c/", "gradio_api/run-history/records/a/b/assets/", "theme.css/", ""),
]


@pytest.mark.parametrize("route", ROUTES)
def test_no_file_route_leads_out_of_what_is_served(hosted, route):
    with httpx.Client() as visitor:
        for way in WAYS:
            # as it stands: httpx would resolve the dots
            target = f"/{route}{way}".encode()
            address = httpx.URL(hosted).copy_with(raw_path=target)
            answer = visitor.get(address, follow_redirects=True)
            assert "__version__" not in answer.text, way
            assert "root:" not in answer.text, way
            assert "GRADIO_TEMP_DIR" not in answer.text, way


def test_an_upload_goes_nowhere_but_into_the_folder_of_uploads(hosted):
    name = "../../../../../../../../tmp/escaped.png"
    file = {"files": (name, b"not an image")}
    (path,) = httpx.post(f"{hosted}gradio_api/upload", files=file).json()
    assert Path(path).is_relative_to(os.environ["GRADIO_TEMP_DIR"])
    assert not Path("/tmp/escaped.png").exists()


# Other sites, sizes and rates


def test_headers_leave_a_frame_possible_and_little_else(hosted):
    headers = httpx.get(hosted).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "x-frame-options" not in headers
    assert "frame-ancestors" not in headers["content-security-policy"]
    assert "'unsafe-eval'" in headers["content-security-policy"]
    assert "default-src 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
    ids=str,
)
def test_a_script_of_another_site_gets_nothing(hosted, headers):
    assert httpx.get(f"{hosted}config", headers=headers).status_code == 403
    join = {"data": [], "fn_index": 0, "session_hash": "a"}
    at = f"{hosted}gradio_api/queue/join"
    assert httpx.post(at, json=join, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=str,
)
def test_the_page_opens_from_anywhere(hosted, headers):
    assert httpx.get(hosted, headers=headers).status_code == 200


def test_a_form_of_another_site_sends_nothing(hosted):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    answer = httpx.post(f"{hosted}gradio_api/upload", headers=headers, files={"files": b"x"})
    assert answer.status_code == 403


def in_parts(count):
    """Yield a body of unknown length."""
    for _ in range(count):
        yield b" " * MEGABYTE


@pytest.mark.parametrize(
    "body", [b" " * (MEGABYTE + 1), in_parts(3)], ids=["known length", "in parts"]
)
def test_a_body_of_more_than_a_megabyte_is_refused(hosted, body):
    answer = httpx.post(f"{hosted}gradio_api/queue/join", content=body)
    assert answer.status_code == 413


def test_one_upload_of_many_files_is_no_larger_than_one_of_one(hosted):
    files = [("files", (f"{number}.png", bytes(4 * MEGABYTE))) for number in range(4)]
    assert httpx.post(f"{hosted}gradio_api/upload", files=files).status_code == 413


JOIN = "/gradio_api/queue/join"


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Let nobody wait in the middleware; gives the seconds that they would."""
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    beside = SimpleNamespace(**vars(asyncio))
    beside.sleep = sleep
    monkeypatch.setattr(middleware, "asyncio", beside)
    return waits


@pytest.fixture
def guarded(monkeypatch):
    """A client of the middleware with nothing behind it, which takes one request a second."""
    monkeypatch.setenv("CNN_RATE_LIMIT", "1")
    monkeypatch.setattr(middleware, "SESSIONS_PER_ADDRESS", 1)
    return TestClient(RequestGuard(PlainTextResponse("done")))


def test_too_many_requests_of_one_address_are_refused_with_a_sentence(guarded):
    answers = [guarded.post(JOIN) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["detail"].endswith(".")


def test_who_asks_too_much_waits_for_the_refusal(guarded, waits):
    for _ in range(3):
        guarded.post(JOIN)
    assert waits == [WAIT_SECONDS]


def test_pages_have_a_rate_of_their_own(monkeypatch):
    monkeypatch.setattr(middleware, "PAGES_PER_SECOND", 1)
    client = TestClient(RequestGuard(PlainTextResponse("done")))
    statuses = [client.get(path).status_code for path in ("/", "/config", "/", "/config")]
    assert statuses == [200, 200, 429, 429]
    assert client.get("/static/x.css").status_code == 200


@pytest.fixture
def asked(monkeypatch):
    """Ask the middleware in front of a small page's functions, which takes one request a second
    of a session; gives the status."""
    monkeypatch.setenv("CNN_RATE_LIMIT", "1")
    client = TestClient(RequestGuard(PlainTextResponse("done"), small_page.build()))
    echo = {"data": [None, "x"], "fn_index": 0}
    return lambda path=JOIN, **body: client.post(path, json=echo | body).status_code


def test_a_session_has_its_rate_whatever_else_a_body_names(asked):
    statuses = [asked(event_data={"session_hash": f"a{n}"}, session_hash="b") for n in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert asked(session_hash="c") == 200


@pytest.mark.parametrize("path", [JOIN, routes.DRAWING])
@pytest.mark.parametrize("name", [None, 7, "x" * 100])
def test_who_names_no_session_has_the_rate_of_one(asked, path, name):
    name = None if path == JOIN else name
    statuses = [asked(path, token=name, session_hash=None) for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


def test_sessions_of_one_address_share_a_rate_of_events(asked):
    statuses = [asked(session_hash=f"a{number}") for number in range(3 * EVENTS_PER_ADDRESS)]
    assert statuses == [200] * 2 * EVENTS_PER_ADDRESS + [429] * EVENTS_PER_ADDRESS
    assert asked(routes.DRAWING, token="a") == 200


def test_a_large_body_counts_as_many_requests(asked):
    body = "x" * (BYTES_PER_REQUEST * SESSIONS_PER_ADDRESS)
    statuses = [asked(routes.DRAWING, token=f"a{n}", strokes=body) for n in range(3)]
    assert statuses == [200, 429, 429]


@pytest.mark.parametrize("path", ["queue/data?session_hash=a{}", "call/echo/a{}"])
def test_an_address_has_a_share_of_the_streams_of_events(monkeypatch, path):
    monkeypatch.setattr(middleware, "EVENT_STREAMS_PER_ADDRESS", 3)

    async def listen() -> list[int]:
        heard, ended = [], asyncio.Event()

        async def stream(scope, receive, send):
            await ended.wait()
            await PlainTextResponse("done")(scope, receive, send)

        guard = RequestGuard(stream)

        async def get(number: int) -> None:
            name, _, query = path.format(number).partition("?")
            scope = {"type": "http", "method": "GET", "path": f"{routes.API}/{name}", "headers": []}

            async def send(message: dict) -> None:
                heard.extend([message["status"]] if "status" in message else [])

            scope |= {"query_string": query.encode(), "client": ("192.0.2.1", 1)}
            await guard(scope, None, send)

        tasks = [asyncio.create_task(get(number)) for number in range(5)]
        await asyncio.sleep(0)
        ended.set()
        await asyncio.gather(*tasks)
        await asyncio.create_task(get(5))
        return heard

    assert asynchronous.run(listen()) == [503, 503, 200, 200, 200, 200]


class Script:
    """Plays one request whose body comes in parts, each after the client's `wait`."""

    def __init__(self, *parts: bytes, path: str = JOIN):
        self.parts, self.path, self.sent = list(parts), path, []

    async def receive(self) -> dict:
        if not self.parts:
            await asyncio.Event().wait()  # the client says nothing more
        return {"type": "http.request", "body": self.parts.pop(0), "more_body": True}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    async def ask(self, app) -> int:
        form = (b"content-type", b"multipart/form-data; boundary=edge")
        headers = [(b"host", b"localhost"), form]
        scope = {"type": "http", "method": "POST", "path": self.path, "headers": headers}
        await app(scope | {"client": ("192.0.2.1", 1)}, self.receive, self.send)
        return self.sent[0]["status"]


@pytest.mark.parametrize("path", [JOIN, routes.UPLOAD])
def test_a_body_that_never_ends_is_refused_at_its_deadline(monkeypatch, path):
    for name in ("BODY_SECONDS", "UPLOAD_SECONDS"):
        monkeypatch.setattr(middleware, name, 0.01)

    async def read(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    script = Script(b"{", path=path)
    assert asynchronous.run(script.ask(RequestGuard(read))) == 408
    assert (b"connection", b"close") in script.sent[0]["headers"]


def test_what_an_address_uploads_beyond_its_rate_is_read_later(monkeypatch, waits):
    monkeypatch.setattr(middleware, "BYTES_PER_SECOND", 1_000)

    async def read(scope, receive, send):
        for _ in range(3):
            await receive()
        await PlainTextResponse("done")(scope, receive, send)

    guard = RequestGuard(read)
    script = Script(bytes(1_000), bytes(1_000), bytes(5_000), path=routes.UPLOAD)
    assert asynchronous.run(script.ask(guard)) == 200
    assert waits == [pytest.approx(5, abs=1)]


def test_four_hundred_uploads_that_never_end_shut_nobody_out(monkeypatch):
    monkeypatch.setattr(middleware, "UPLOADS_PER_SECOND", 1_000)
    monkeypatch.setattr("cnn.web.server.limits.SLOW_AFTER", 0.0)

    async def read(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("done")(scope, receive, send)

    class Whole(Script):
        async def receive(self) -> dict:
            return {"type": "http.request", "body": b"{}", "more_body": False}

    async def attack() -> tuple[int, int]:
        guard = RequestGuard(read)
        slow = [Script(b"x", path=routes.UPLOAD) for _ in range(400)]
        tasks = [asyncio.create_task(script.ask(guard)) for script in slow]
        await asyncio.sleep(0)
        status = await Whole().ask(guard)
        await asyncio.sleep(0)
        open_ = sum(not task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        return status, open_

    status, open_ = asynchronous.run(attack())
    assert status == 200
    assert open_ <= 60


def test_an_error_behind_the_middleware_is_a_sentence_and_logs_its_traceback(caplog):
    async def failing(*_):
        raise ZeroDivisionError

    answer = TestClient(RequestGuard(failing)).get("/")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Something went wrong here."})
    assert "ZeroDivisionError" in caplog.text


def test_an_error_within_a_response_is_logged_and_begins_no_second_response(caplog):
    async def failing(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    assert TestClient(RequestGuard(failing)).get("/").status_code == 200
    assert "ZeroDivisionError" in caplog.text
