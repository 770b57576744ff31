"""The log has a line per request, and nothing in it that a visitor wrote."""

import logging
import re

import httpx
import pytest
from support.server import running_app

from cnn.web.server import logs

EVIL = "a\nFORGED line\x1b[31m<script>"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app as it is started, and the file that its log goes to."""
    path = tmp_path_factory.mktemp("server") / "log"
    environment = {"CNN_RATE_LIMIT": "10000"}
    with path.open("w") as file, running_app(file, **environment) as address:
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


def test_a_long_error_is_cut_and_many_have_one_traceback(caplog):
    log = logging.getLogger("cnn.test")
    for _ in range(5):
        logs.log_exception(log, "An event ended with an error.", ValueError("x" * 100_000))
    assert max(len(record.getMessage()) for record in caplog.records) < 1_000
    assert sum(record.exc_info is not None for record in caplog.records) <= 2
