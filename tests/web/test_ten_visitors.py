"""Ten visitors at once look inside ten different drawings, each through a session of their own."""

import concurrent.futures
import json
import secrets
import threading

import httpx
import pytest

from cnn.data import synthetic

VISITORS = 10


class Session:
    """A visitor's side of gradio's session protocol, as the browser speaks it."""

    def __init__(self, address: str):
        self.api, self.hash = f"{address}gradio_api", secrets.token_hex(6)
        self.config = httpx.get(f"{address}config").json()

    def events(self, kind: str, name: str) -> list[dict]:
        """What a component's event starts; `kind` is the component's type or element id."""
        ids = {
            part["id"]
            for part in self.config["components"]
            if kind in (part["type"], part["props"].get("elem_id"))
        }
        events = self.config["dependencies"]
        return [e for e in events if any(a in ids and b == name for a, b in e["targets"])]

    def ask(self, dependency: dict, *data) -> list:
        """Start it with values for its inputs, `None` where the session holds them."""
        question = {
            "data": [*data, *[None] * (len(dependency["inputs"]) - len(data))],
            "fn_index": dependency["id"],
            "session_hash": self.hash,
            "event_data": {"version": 1},
        }
        if not dependency["queue"]:
            return httpx.post(f"{self.api}/run/predict", json=question, timeout=60).json()["data"]
        httpx.post(f"{self.api}/queue/join", json=question, timeout=60).raise_for_status()
        where = f"{self.api}/queue/data?session_hash={self.hash}"
        with httpx.stream("GET", where, timeout=60) as answer:
            for line in answer.iter_lines():
                told = json.loads(line.removeprefix("data: ") or "{}")
                if told.get("msg") == "process_completed":
                    assert told["success"], told
                    return told["output"]["data"]
        raise AssertionError("the server ended without an answer")


@pytest.fixture(scope="module")
def views(hosted) -> list[tuple[dict, dict]]:
    """What each visitor sees in Inside: the picture of the network, and one activation computed."""
    together = threading.Barrier(VISITORS)

    def look_inside(digit: int) -> tuple[dict, dict]:
        session = Session(hosted)
        session.ask(session.events("html", "stroke_end")[0], synthetic.example(digit))
        together.wait(60)
        network, activation = (
            session.ask(session.events(view, "follow")[0])[0] for view in ("network", "activation")
        )
        return network, activation

    with concurrent.futures.ThreadPoolExecutor(VISITORS) as visitors:
        return list(visitors.map(look_inside, range(VISITORS)))


def test_each_of_ten_sees_their_own_drawing(views):
    labels = [
        output["classes"][output["probabilities"].index(max(output["probabilities"]))]
        for output in (network["output"] for network, _ in views)
    ]
    assert labels == [str(digit) for digit in range(VISITORS)]


def test_each_of_ten_follows_an_activation_of_their_own_drawing(views):
    assert len({activation["inputs"]["data"] for _, activation in views}) == VISITORS
    assert {activation["layer"] for _, activation in views} == {"conv1"}
