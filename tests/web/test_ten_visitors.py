"""Ten visitors at once look inside ten different drawings, each through a session of their own."""

import concurrent.futures
import json
import re
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
        """What a component's event starts; `kind` is the component's type or id."""
        ids = {
            part["id"]
            for part in self.config["components"]
            if kind in (part["type"], part["props"].get("id"))
        }
        events = self.config["dependencies"]
        return [e for e in events if any(a in ids and b == name for a, b in e["targets"])]

    def ask(self, dependency: dict, *data) -> list:
        """Start it with values for its inputs, `None` where the session holds them."""
        question = {
            "data": [*data, *[None] * (len(dependency["inputs"]) - len(data))],
            "fn_index": dependency["id"],
            "session_hash": self.hash,
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
def seen(hosted) -> list[tuple[str, str]]:
    """What each visitor is told: what the page looks at, and the arithmetic of one number."""
    together = threading.Barrier(VISITORS)

    def look_inside(digit: int) -> tuple[str, str]:
        session = Session(hosted)
        session.ask(session.events("html", "stroke_end")[0], synthetic.example(digit))
        look, *views = session.events("inside", "select")
        together.wait(60)
        glance = session.ask(look)[0]
        number = next(e for e in views if len(e["outputs"]) == 7)
        return glance, session.ask(number, None, None, None, 3)[-1]

    with concurrent.futures.ThreadPoolExecutor(VISITORS) as visitors:
        return list(visitors.map(look_inside, range(VISITORS)))


def test_each_of_ten_sees_their_own_drawing(seen):
    labels = [re.search("class='label'>(.*?)<", glance)[1] for glance, _ in seen]
    assert labels == [str(digit) for digit in range(VISITORS)]


def test_each_of_ten_follows_a_number_of_their_own_picture(seen):
    assert len({sums for _, sums in seen}) == VISITORS
    assert all("softmax" in sums for _, sums in seen)
