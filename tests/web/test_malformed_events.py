"""Whatever values an event is sent, it answers with a sentence, and the log stays short."""

import json
from pathlib import Path

import gradio as gr
import httpx
import pytest
from support.server import running_app
from support.small_page import small_page

from cnn.web.server import gradio_internals, logs
from cnn.web.server.limits import RateLimiter

DEEP: list = []
for _ in range(200):
    DEEP = [DEEP]
VALUES = [
    *(None, True, -1, 2**40, 10**30, 1.5, float("nan"), 1e300, "", "junk", "²", "9" * 300, DEEP),
    *([], [None], [[]], [["a"]], [[[1, 2]]], {}, {"value": 1}, {"path": None}, ["junk", 7, {}]),
    {"__type__": "update", "value": 3},
]
FIELDS = (
    *("version", "token", "value", "label", "layer", "map", "row", "column", "index", "path"),
    *("networks", "drawing", "tab", "preset", "temperature", "meta", "url"),
)
EVENT_DATA = [{}, *(dict.fromkeys(FIELDS, value) for value in ("junk", [["a"]], {"value": 1}))]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app as it is started, what its page consists of, and the file that its log goes to."""
    folder = tmp_path_factory.mktemp("server")
    environment = {"CNN_RATE_LIMIT": "10000", "GRADIO_TEMP_DIR": str(folder / "uploads")}
    with (folder / "log").open("w") as file, running_app(file, **environment) as address:
        with httpx.Client(base_url=f"{address}/gradio_api", timeout=60) as client:
            yield client, httpx.get(f"{address}/config").json(), folder / "log"


def functions(config: dict) -> list[dict]:
    """Return the functions that run on the server, with their inputs' first `values`.

    `places` are the inputs that a visitor determines.
    """
    parts = {part["id"]: part for part in config["components"]}
    return [
        function
        | {
            "values": [parts[i]["props"].get("value") for i in function["inputs"]],
            "places": [n for n, i in enumerate(function["inputs"]) if parts[i]["type"] != "state"],
        }
        for function in config["dependencies"]
        if function["backend_fn"]
    ]


def payloads(function: dict) -> list[dict]:
    """Return bodies with each value in each place, and with odd data of the event itself."""
    values = function["values"]
    bodies = [{"data": [None] * len(values), "event_data": given} for given in EVENT_DATA]
    for place in function["places"]:
        for value in VALUES:
            bodies.append({"data": [*values[:place], value, *values[place + 1 :]]})
    return bodies


def post(client: httpx.Client, path: str, body: dict) -> httpx.Response:
    """Post what may hold NaN, which httpx does not write."""
    headers = {"Content-Type": "application/json"}
    return client.post(path, content=json.dumps(body), headers=headers)


def assert_is_short(log: Path) -> None:
    text = log.read_text()
    assert "Traceback" not in text
    assert "ended with an error" not in text


def test_no_value_of_any_event_is_an_error_of_the_server(server):
    client, config, log = server
    for function in functions(config):
        if function["values"] and function["api_name"] == "train":
            continue  # begins to train; the next test sends it values as well
        for body in payloads(function):
            body |= {"fn_index": function["id"], "session_hash": "run"}
            answer = post(client, "run/predict", body)
            assert answer.status_code in (200, 400), (function["api_name"], body)
            if answer.status_code == 400:
                told = answer.json()
                assert told.get("error") or told["detail"].endswith(".")
    assert_is_short(log)


def test_no_value_of_an_event_that_waits_in_the_queue_is_one_either(server):
    client, config, log = server
    with_values = [function for function in functions(config) if function["places"]]
    for start in range(0, len(with_values), 10):
        session = {"session_hash": f"queue-{start}"}
        some = with_values[start : start + 10]
        for function in some:
            body = {"data": ["junk"] * len(function["values"]), "fn_index": function["id"]}
            assert post(client, "queue/join", body | session).status_code == 200
        told = client.get("queue/data", params=session).text
        assert told.count("process_completed") == len(some)
    assert_is_short(log)


@pytest.mark.parametrize("given", [7, "junk", [1], True])
def test_data_of_an_event_that_is_no_object_is_refused(server, given):
    body = {"data": [None], "fn_index": 0, "session_hash": "run", "event_data": given}
    answer = post(server[0], "run/predict", body)
    assert (answer.status_code, answer.json()["detail"]) == (400, "event_data must be an object.")


def test_no_value_for_a_named_endpoint_is_one_either(server):
    client, config, log = server
    for function in functions(config):
        if function["api_visibility"] != "public":
            continue
        for value in VALUES:
            at, body = f"call/{function['api_name']}", {"data": [value] * len(function["values"])}
            begun = post(client, at, body)
            assert begun.status_code in (200, 400)
            if begun.status_code == 200:
                assert "event: " in client.get(f"{at}/{begun.json()['event_id']}").text
    assert_is_short(log)


def test_no_value_for_a_server_function_is_one_either(server):
    client, config, log = server
    for part in config["components"]:
        for name in part["props"].get("server_fns", ()):
            for value in VALUES:
                body = {"data": value, "component_id": part["id"], "fn_name": name}
                answer = post(client, "component_server/", body | {"session_hash": "server"})
                assert answer.status_code in (200, 400)
    assert_is_short(log)


def test_the_page_answers_afterwards(server):
    client, config, _ = server
    digit = [[[0.5, 0.2], [0.5, 0.8]]]
    answer = post(client, "run/classify_digit", {"data": [digit], "session_hash": "after"})
    assert answer.json()["data"][0]["label"] == "1"


@pytest.fixture
def faulty_page(tmp_path, monkeypatch):
    """Post to the endpoint `fail` of a page, whose function has a fault of its own."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(logs, "_tracebacks", RateLimiter(logs.TRACEBACKS_PER_SECOND))

    def fail(text: str) -> str:
        if text == "refuse":
            raise gr.Error("That is refused.")
        return str(1 / 0)

    with small_page() as (page, _), httpx.Client(base_url=page.local_url) as client:
        with page:
            gr.api(fail, api_name="fail")
        gradio_internals.handle_errors(page)
        yield lambda text: client.post("/gradio_api/run/fail", json={"data": [text]})


def test_an_error_of_the_page_itself_has_a_sentence_and_one_traceback(faulty_page, caplog):
    for _ in range(20):
        answer = faulty_page("go")
        assert answer.status_code == 500
        assert answer.json()["error"] == "Something went wrong here."
    assert caplog.text.count("ZeroDivisionError: division by zero") >= 20
    assert caplog.text.count("Traceback") < 20


def test_what_is_refused_with_a_sentence_is_no_error_of_the_server(faulty_page, caplog, capsys):
    answer = faulty_page("refuse")
    assert (answer.status_code, answer.json()["error"]) == (400, "That is refused.")
    assert "Traceback" not in caplog.text + capsys.readouterr().err
