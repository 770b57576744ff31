"""What the server answers: the routes that the page uses, uploads, and well-formed requests."""

import asyncio
import http.server
import os
import threading
from pathlib import Path

import httpx
import pytest
import safehttpx
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from support import asynchronous
from support.small_page import small_page

from cnn.web.server import middleware, routes
from cnn.web.server.page_cache import MISSES_PER_SECOND, PageCache

PUBLIC = "public.example"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        with small_page(hosts={"own.example"}) as (page, _):
            yield page


@pytest.fixture
def client(page):
    with httpx.Client(base_url=page.local_url, timeout=30) as client:
        yield client


@pytest.fixture
def public_host(monkeypatch):
    """A server on the internet: its address, and the paths that somebody asked it for."""
    fetched = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            fetched.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<script>alert(1)</script>")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    async def resolve(_: str) -> str:
        return "127.0.0.1"  # Gradio takes it for a public address

    monkeypatch.setattr(safehttpx, "async_validate_url", resolve)
    yield f"http://{PUBLIC}:{server.server_port}/x.png", fetched
    server.shutdown()
    server.server_close()


def test_no_public_address_is_fetched_for_a_visitor(client, public_host):
    address, fetched = public_host
    for method in ("GET", "HEAD"):
        answer = client.request(method, f"/gradio_api/file={address}")
        assert answer.status_code == 404
    assert "script" not in client.get(f"/gradio_api/file={address}").text
    assert fetched == []


def test_the_stand_in_for_a_public_host_is_fetched_without_the_allow_list(
    client, public_host, monkeypatch
):
    address, fetched = public_host
    monkeypatch.setattr(routes, "is_served", lambda *_: True)
    client.get(f"/gradio_api/file={address}")
    assert fetched == ["/x.png"]


@pytest.mark.parametrize("route", ["call/show", "run/show", "queue/join"])
def test_no_public_address_is_fetched_as_an_input(client, page, public_host, route):
    address, fetched = public_host
    photo = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
    body = {"data": [photo], "session_hash": "somebody"}
    body["fn_index"] = next(number for number, fn in page.fns.items() if fn.api_name == "show")
    answer = client.post(f"/gradio_api/{route}", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "A file must be uploaded first."
    assert fetched == []


def test_an_upload_can_be_read_and_no_other_file(client):
    (path,) = client.post("/gradio_api/upload", files={"files": ("a.png", b"image")}).json()
    assert client.get(f"/gradio_api/file={path}").content == b"image"
    for other in (__file__, "/etc/passwd", f"{path}/../../../../etc/passwd", "x" * 5000, "a%00b"):
        assert client.get(f"/gradio_api/file={other}").status_code in (400, 404)
    link = Path(os.environ["GRADIO_TEMP_DIR"], "link")
    link.symlink_to(__file__)
    assert client.get(f"/gradio_api/file={link}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        *("gradio_api/dev/reload", "gradio_api/deep_link", "monitoring", "gradio_api/vibe-code"),
        *("gradio_api/runs", "gradio_api/proxy=http://a.example/", "gradio_api/token", "login"),
        *("gradio_api/stream/a/b/1/playlist-file", "docs", "openapi.json", "%00", "gradio_api"),
    ],
)
def test_what_the_page_does_not_use_is_not_there(client, path):
    answer = client.get(f"/{path}")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "There is nothing here."}


@pytest.mark.parametrize("path", ["/", "/config", "/theme.css", "/gradio_api/info"])
def test_what_the_page_uses_is_there(client, path):
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, "/").status_code == 404


BODIES = [
    *(b"", b"[", b"[]", b"7", b"{}", b'"a"', b"null", b"[" * 100_000, b"\xff\xfe"),
    *(b'{"data": 1}', b'{"data": null}', b'{"data": [], "fn_index": 99}'),
    *(b'{"data": [], "fn_index": true}', b'{"data": [], "fn_index": 1e400}'),
    *(b'{"data": [], "fn_index": "0"}', b'{"data": [1, 2, 3, 4, 5, 6]}'),
    *(b'{"data": [], "session_hash": ["a"]}', b'{"data": [], "session_hash": "a b"}'),
]
POSTS = ["call/echo", "call/none", "queue/join", "run/predict", "component_server/", "cancel"]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:60].decode("latin-1"))
@pytest.mark.parametrize("route", POSTS)
def test_a_malformed_request_gets_a_status_and_no_traceback(client, route, body, capsys):
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"/gradio_api/{route}", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert "detail" in answer.json()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("route", ["call/v2/echo", "call/v2/none"])
@pytest.mark.parametrize("body", [{}, {"data": []}, {"other": 1}, {"text": 1, "other": 1}])
def test_what_an_endpoint_has_no_parameter_for_is_refused(client, route, body, capsys):
    answer = client.post(f"/gradio_api/{route}", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith(".")
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("route", ["run/echo", "call/echo", "queue/join"])
def test_an_event_without_all_its_inputs_is_refused(client, page, route, capsys):
    number = next(number for number, fn in page.fns.items() if fn.api_name == "echo")
    data = [] if route == "call/echo" else ["x"]
    body = {"data": data, "fn_index": number, "session_hash": "a"}
    answer = client.post(f"/gradio_api/{route}", json=body)
    assert answer.status_code == 400
    assert "must hold" in answer.json()["detail"]
    complete = ["x"] if route == "call/echo" else [None, "x"]
    assert client.post(f"/gradio_api/{route}", json=body | {"data": complete}).status_code == 200
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("component", [[], 10_000, 1, None, "1", 1.5, True])
@pytest.mark.parametrize("name", ["look", "__init__", None, 7, []])
def test_what_is_no_server_function_of_a_component_is_refused(client, component, name):
    body = {"data": [], "session_hash": "a", "component_id": component, "fn_name": name}
    answer = client.post("/gradio_api/component_server/", json=body)
    assert answer.status_code == 400


@pytest.mark.parametrize("kind", ["multipart/form-data", "application/json", "", "a\x01b"])
def test_a_malformed_upload_gets_a_status(client, kind):
    answer = client.post("/gradio_api/upload", content=b"xx", headers={"Content-Type": kind})
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="files"'),
        ("multipart/form-data; boundary=x", b"nothing"),
        (f"multipart/form-data; boundary={'x' * 300}", b"x"),
        ("multipart/form-data; boundary=", b"x"),
    ],
)
def test_an_upload_of_no_file_gets_a_sentence_and_no_traceback(client, content_type, body, capsys):
    body += b"\r\n\r\nx\r\n--x--\r\n"
    headers = {"Content-Type": content_type}
    answer = client.post("/gradio_api/upload", content=body, headers=headers)
    assert answer.status_code == 400
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 7, 100_000], ids=lambda size: f"{size} bytes at a time")
def test_an_upload_has_at_most_ten_files(client, size):
    def send(count: int) -> httpx.Response:
        part = '--edge\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\nx\r\n'
        body = "".join(map(part.format, range(count))).encode() + b"--edge--\r\n"
        pieces = (body[at : at + size] for at in range(0, len(body), size))
        headers = {"Content-Type": "multipart/form-data; boundary=edge"}
        return client.post("/gradio_api/upload", content=pieces, headers=headers)

    assert len(send(middleware.MAX_PARTS).json()) == middleware.MAX_PARTS
    assert send(middleware.MAX_PARTS + 1).status_code == 413


@pytest.mark.parametrize("span", ["bytes=0-1,2-3", "bytes=a-b-c", "bytes=0-1"])
def test_a_file_is_sent_whole_whatever_range_is_asked_for(client, span):
    (path,) = client.post("/gradio_api/upload", files={"files": ("b.png", b"image")}).json()
    answer = client.get(f"/gradio_api/file={path}", headers={"Range": span})
    assert (answer.status_code, answer.content) == (200, b"image")


@pytest.mark.parametrize("folder", ["assets", "static", "svelte"])
@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_name_longer_than_any_file_has_is_not_there(client, folder, letter):
    assert client.get(f"/{folder}/{letter * 200}{letter * 56}").status_code == 404


def test_an_upload_is_followed_by_a_short_name_alone(client):
    for name in ("x" * 65, "a b", "é"):
        query = {"upload_id": ["short", name]}  # the last one counts
        assert client.get("/gradio_api/upload_progress", params=query).status_code == 400
        answer = client.post("/gradio_api/upload", params=query, files={"files": ("a.png", b"x")})
        assert answer.status_code == 400
    assert client.get("/gradio_api/upload_progress").status_code == 400


@pytest.mark.parametrize("query", ["", "?session_hash=", "?session_hash=a%0Ab", "?session_hash=é"])
def test_events_of_no_session_are_refused(client, query):
    assert client.get(f"/gradio_api/queue/data{query}").status_code == 400


def test_what_nobody_asked_for_cannot_be_listened_to(client, capsys):
    assert client.get("/gradio_api/queue/data?session_hash=nobody").status_code == 404
    assert client.get("/gradio_api/call/echo/nothing").status_code == 404
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.com", ""]
)
def test_another_name_for_this_machine_is_refused(client, host):
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert "CNN_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:7860", "127.0.0.1:80", "[::1]:1", "a.localhost", "own.example"]
)
def test_this_machines_own_names_are_served(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_the_page_is_built_once(client, page, monkeypatch):
    first = client.get("/config")
    monkeypatch.setattr(type(page), "config", property(lambda _: 1 / 0), raising=False)
    assert client.get("/config?deep_link=abc").content == first.content
    assert client.get("/config").headers.keys() == first.headers.keys()


class Builder:
    """Stands in for Gradio: counts how often the page is built."""

    def __init__(self):
        self.count, self.release = 0, asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.count += 1
        await self.release.wait()
        await PlainTextResponse(Headers(scope=scope)["accept-encoding"])(scope, receive, send)


async def _get_pages(builder: Builder, headers: list[dict[str, str]]) -> list[str]:
    """Get the page with each of these headers at the same time; gives the answers' bodies."""
    cache = PageCache(builder, routes.PAGES)

    async def get(named: dict[str, str]) -> str:
        raw = [(name.encode(), value.encode()) for name, value in named.items()]
        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": raw}
        sent = []

        async def send(message: dict) -> None:
            sent.append(message)

        await cache(scope | {"client": ("192.0.2.1", 1)}, None, send)
        return sent[0]["status"], sent[1]["body"].decode()

    tasks = [asyncio.create_task(get(named)) for named in headers]
    await asyncio.sleep(0)
    builder.release.set()
    return await asyncio.gather(*tasks)


def test_the_page_is_built_once_for_each_encoding_that_gradio_knows():
    builder = Builder()
    accepted = [f"gzip;q=0.{number}, br" for number in range(50)] + ["gzip", "", "x" * 500]
    answers = asynchronous.run(_get_pages(builder, [{"accept-encoding": a} for a in accepted]))
    assert builder.count == 3
    expected = ["br"] * 50 + ["gzip", "identity", "identity"]
    assert answers == [(200, encoding) for encoding in expected]


def test_an_address_has_the_page_built_anew_only_so_often():
    builder = Builder()
    hosts = [{"host": f"{number}.example"} for number in range(100)]
    statuses = [status for status, _ in asynchronous.run(_get_pages(builder, hosts))]
    assert builder.count == statuses.count(200) <= 2 * MISSES_PER_SECOND + 1
    assert statuses.count(429) == 100 - builder.count


def test_the_page_names_the_address_under_which_it_is_visited(client):
    for host in ("localhost", "a.localhost"):
        assert client.get("/config", headers={"Host": host}).json()["root"] == f"http://{host}"
