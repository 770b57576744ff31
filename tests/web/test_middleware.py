"""What a host relies on: limits, headers, the log, and that nothing is read or kept unasked."""

import asyncio
import http.server
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest
from gradio.state_holder import SessionState
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from support.server import running_app
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import cnn
from cnn.models import checkpoints
from cnn.web import app
from cnn.web.server import cleanup, logs
from cnn.web.server.gradio_internals import Sessions
from cnn.web.server.middleware import MEGABYTE, TRUSTED_PROXIES, RateLimiter, RequestGuard

ROOT = Path(__file__).parents[2]
SECRET = "cnn/__init__.py"
EVIL = "a\nFORGED line\x1b[31m<script>"


def test_health_names_the_version_and_the_networks(hosted):
    answer = httpx.get(f"{hosted}healthz").json()
    names = [path.stem for path in checkpoints.list_files(ROOT / "checkpoints")]
    assert answer == {"version": cnn.__version__, "networks": names}


# Nothing but what is served can be read


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


@pytest.mark.parametrize(
    "path", ["/gradio_api/vibe-code", "/monitoring", "/gradio_api/run-history/buckets"]
)
def test_what_gradio_has_for_its_own_developers_is_closed(hosted, path):
    assert httpx.get(hosted.rstrip("/") + path).status_code in (403, 404)


def test_an_upload_goes_nowhere_but_into_the_folder_of_uploads(hosted):
    name = "../../../../../../../../tmp/escaped.png"
    file = {"files": (name, b"not a picture")}
    (path,) = httpx.post(f"{hosted}gradio_api/upload", files=file).json()
    assert Path(path).is_relative_to(os.environ["GRADIO_TEMP_DIR"])
    assert not Path("/tmp/escaped.png").exists()


def ask(hosted, endpoint, data):
    """Call an endpoint as a program does; gives the events of its answer as text."""
    at = f"{hosted}gradio_api/call/{endpoint}"
    event = httpx.post(at, json={"data": data}).json()["event_id"]
    return httpx.get(f"{at}/{event}", timeout=60).text


@pytest.mark.parametrize("path", [f"{ROOT}/assets/mark.svg", "/etc/passwd", "../x.png"])
def test_no_photograph_is_read_that_was_not_uploaded(hosted, path):
    photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert "event: error" in ask(hosted, "classify_photo", [photo])


def test_the_server_fetches_nothing_that_a_visitor_names(hosted):
    fetched = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            fetched.append(self.path)

        def log_message(self, *_):
            pass

    listener = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{listener.server_port}/a.png"
    photo = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
    assert "event: error" in ask(hosted, "classify_photo", [photo])
    httpx.get(f"{hosted}gradio_api/file={address}")
    listener.shutdown()
    assert fetched == []


# Sites, sizes and paces


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
    """A body that tells no length."""
    for _ in range(count):
        yield b" " * MEGABYTE


@pytest.mark.parametrize("body", [b" " * (MEGABYTE + 1), in_parts(3)], ids=["told", "in parts"])
def test_a_body_of_more_than_a_megabyte_is_refused(hosted, body):
    answer = httpx.post(f"{hosted}gradio_api/queue/join", content=body)
    assert answer.status_code == 413


def test_one_upload_of_many_files_is_no_larger_than_one_of_one(hosted):
    files = [("files", (f"{number}.png", bytes(4 * MEGABYTE))) for number in range(4)]
    assert httpx.post(f"{hosted}gradio_api/upload", files=files).status_code == 413


def test_who_asks_too_often_waits_and_the_others_do_not():
    pace = RateLimiter(a_second=10)
    assert [pace.allows("a", now=0) for _ in range(25)] == [True] * 20 + [False] * 5
    assert pace.allows("b", now=0)
    assert [pace.allows("a", now=1) for _ in range(12)] == [True] * 10 + [False] * 2


def test_who_asks_steadily_at_the_pace_never_waits():
    pace = RateLimiter(a_second=10)
    assert all(pace.allows("a", now=number / 10) for number in range(1000))


@pytest.fixture
def gated(monkeypatch):
    """A visitor of a gate with nothing behind it, whose pace is one request a second."""
    monkeypatch.setenv("CNN_REQUESTS_A_SECOND", "1")
    return TestClient(RequestGuard(PlainTextResponse("done")))


def test_too_much_from_one_address_is_told_to_wait(gated):
    answers = [gated.post("/") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["detail"].endswith(".")
    assert gated.get("/").status_code == 200


@pytest.fixture
def on_a_space(monkeypatch):
    """Asks that gate through proxies, given the addresses that the last of them tells."""
    monkeypatch.setenv("CNN_REQUESTS_A_SECOND", "1")
    gate = ProxyHeadersMiddleware(RequestGuard(PlainTextResponse("done")), TRUSTED_PROXIES)
    visitor = TestClient(gate, client=("10.16.3.80", 1))
    return lambda told: visitor.post("/", headers={"X-Forwarded-For": told}).status_code


def test_on_a_space_each_visitor_has_a_pace_of_their_own(on_a_space):
    for number in range(5):
        assert on_a_space(f"203.0.113.{number}, 10.16.0.1") == 200


def test_on_a_space_nobody_gets_round_the_pace_with_made_up_addresses(on_a_space):
    told = [f"198.51.100.{number}, 203.0.113.1, 10.16.0.1" for number in range(4)]
    assert [on_a_space(addresses) for addresses in told] == [200, 200, 429, 429]


def test_a_fault_behind_the_gate_is_a_sentence_and_keeps_its_traceback(caplog):
    async def faulty(*_):
        raise ZeroDivisionError

    answer = TestClient(RequestGuard(faulty)).get("/")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Something went wrong here."})
    assert "ZeroDivisionError" in caplog.text


def test_a_fault_within_an_answer_is_logged_alone_and_no_second_answer_begun(caplog):
    async def faulty(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    assert TestClient(RequestGuard(faulty)).get("/").status_code == 200
    assert "ZeroDivisionError" in caplog.text


# The log, and the server as a process


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app as it is started, and the file that its log goes to."""
    path = tmp_path_factory.mktemp("server") / "log"
    place = {"CNN_REQUESTS_A_SECOND": "10000"}
    with path.open("w") as file, running_app(file, **place) as address:
        yield f"{address}/", path


def test_no_function_of_the_page_lets_a_visitor_write_a_line_of_the_log(server):
    address, path = server
    photo = {"path": EVIL, "url": EVIL, "meta": {"_type": "gradio.FileData"}}
    with httpx.Client(timeout=60) as visitor:
        functions = visitor.get(f"{address}config").json()["dependencies"]
        assert len(functions) > 20
        for function in functions:
            for value in (EVIL, photo):
                body = {"data": [value] * len(function["inputs"]), "fn_index": function["id"]}
                body["session_hash"] = EVIL
                visitor.post(f"{address}gradio_api/run/predict", json=body)
        visitor.post(f"{address}gradio_api/component_server/", json={"session_hash": EVIL})
        visitor.get(f"{address}{EVIL.replace(chr(10), '%0A').replace(chr(27), '%1B')}")
    written = path.read_text()
    assert "\nFORGED" not in written
    assert "\x1b" not in written


def test_a_request_is_one_line_without_whose_it_was(server):
    address, path = server
    httpx.get(f"{address}theme.css", headers={"User-Agent": "me", "Cookie": "mine=1"})
    httpx.get(f"{address}healthz")  # a line is written when all is sent
    lines = [line for line in path.read_text().splitlines() if "/theme.css" in line]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\d-]+ [\d:,]+ GET /theme.css 200 [\d.]+ ms", line)


def test_an_entry_of_several_lines_is_indented_and_escaped():
    class Kept(list):
        write = list.append

    kept = Kept()
    stream = logs.SanitizedStream(kept)
    print("fault: a\nINFO forged\x1b[31m\r", file=stream, end="\n")
    assert "".join(kept) == "fault: a\n    INFO forged\\x1b[31m\\r\n"


# Files


def test_old_files_go_and_new_ones_and_ours_stay(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    for name in ("theirs.png", "ours.jpg"):
        (deep / name).touch()
    (tmp_path / "link").symlink_to(ROOT)
    cleanup.delete_expired(tmp_path, keep=set(), oldest=60)
    assert (deep / "theirs.png").exists()
    cleanup.delete_expired(tmp_path, keep={str(deep / "ours.jpg")}, oldest=-1)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["ours.jpg"]
    assert (ROOT / "app.py").exists()


def test_a_sweep_that_ends_in_a_fault_is_not_the_last_one(monkeypatch, caplog):
    monkeypatch.setattr(cleanup, "INTERVAL", 0)
    seen = []

    async def serve_a_while():
        swept = asyncio.Event()

        def forget(now):
            seen.append(now)
            if len(seen) == 1:
                raise FileNotFoundError
            swept.set()

        async with cleanup.cleanup_lifespan(gr.Blocks(), forget):
            await asyncio.wait_for(swept.wait(), 10)

    with ThreadPoolExecutor() as beside:  # a browser's loop may run in this thread
        beside.submit(asyncio.run, serve_a_while()).result()
    assert "FileNotFoundError" in caplog.text


def test_what_visitors_send_is_gone_within_the_hour():
    assert cleanup.MAX_AGE + cleanup.INTERVAL < 3600


def test_the_examples_outlive_every_sweep(hosted):
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    before = {path for path in uploads.rglob("*") if path.suffix == ".jpg"}
    assert len(before) == 8


def test_who_has_left_is_forgotten_and_who_is_here_is_not():
    visits = Sessions()
    now = datetime(2026, 1, 1)
    for name, closed, kept, idle in (
        ("here", False, {1: "a network"}, 3600),
        ("just closed", True, {1: "a network"}, 60),
        ("left", True, {1: "a network"}, 3600),
        ("asked once", False, {}, 60),
    ):
        state = SimpleNamespace(is_closed=closed, state_data=kept, state_components=[])
        visits.session_data[name] = state
        visits.time_last_used[name] = now - timedelta(seconds=idle)
    visits.forget(now)
    assert list(visits.session_data) == ["here", "just closed"]


def test_a_session_is_gradios_own_but_for_the_description_of_the_page():
    page = app.page()
    session, usual = Sessions.of(SimpleNamespace(), page)["somebody"], SessionState(page)
    assert vars(session).keys() == vars(usual).keys()
    assert session.blocks_config.blocks == usual.blocks_config.blocks
    part, other = list(page.blocks)[0], gr.HTML(render=False)
    for one in (session, usual):
        one._update_value_in_config(part, "mine")
        one._update_config(part)
        one[part] = other
        assert one[part] is other
    assert not any(session.config_values.values())
    assert page.blocks[part] is not other


def test_gradios_own_links_hold_nothing_of_a_visit(hosted):
    with httpx.Client(base_url=hosted, timeout=60) as visitor:
        asked = {"data": [[[[0, 0], [1, 0], [0.3, 2]]]], "session_hash": "somebody"}
        event = visitor.post("gradio_api/call/classify_digit", json=asked).json()["event_id"]
        assert "complete" in visitor.get(f"gradio_api/call/classify_digit/{event}").text
        link = visitor.get("gradio_api/deep_link", params={"session_hash": "somebody"})
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / "deep_links" / link.json()
    assert (folder / "state.json").read_text() == "[]"
