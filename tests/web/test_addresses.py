"""What counts as one address: behind proxies, in a network of IPv6, and in sessions it makes up."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from support import small_page
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from cnn.web.server import middleware, routes
from cnn.web.server.middleware import TRUSTED_PROXIES, RequestGuard

JOIN = f"{routes.API}/queue/join"


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch):
    monkeypatch.setattr(middleware, "WAIT_SECONDS", 0)


def test_an_address_begins_only_so_many_sessions_and_goes_on_with_those(monkeypatch):
    monkeypatch.setattr(middleware, "NEW_SESSIONS_PER_SECOND", 1)
    client = TestClient(RequestGuard(PlainTextResponse("done"), small_page.build()))

    def ask(session: str) -> int:
        body = {"data": [None, "x"], "fn_index": 0, "session_hash": session}
        return client.post(JOIN, json=body).status_code

    def listen(session: str) -> int:
        return client.get(f"{routes.API}/heartbeat/{session}").status_code

    assert [ask("a"), listen("b"), ask("c"), listen("d")] == [200, 200, 429, 429]
    assert [ask("a"), listen("b"), ask("b"), listen("a")] == [200] * 4


@pytest.fixture
def on_a_space(monkeypatch):
    """Send a request through a Space's proxies, given X-Forwarded-For as the last one sets it."""
    monkeypatch.setenv("CNN_RATE_LIMIT", "1")
    monkeypatch.setattr(middleware, "SESSIONS_PER_ADDRESS", 1)
    guard = ProxyHeadersMiddleware(RequestGuard(PlainTextResponse("done")), TRUSTED_PROXIES)
    client = TestClient(guard, client=("10.16.3.80", 1))
    return lambda header: client.post(JOIN, headers={"X-Forwarded-For": header}).status_code


def test_on_a_space_each_visitor_has_a_rate_of_their_own(on_a_space):
    for number in range(5):
        assert on_a_space(f"203.0.113.{number}, 10.16.0.1") == 200


def test_on_a_space_made_up_addresses_do_not_evade_the_rate(on_a_space):
    headers = [f"198.51.100.{number}, 203.0.113.1, 10.16.0.1" for number in range(4)]
    assert [on_a_space(addresses) for addresses in headers] == [200, 200, 429, 429]


def test_on_a_space_a_network_of_ipv6_addresses_has_the_rate_of_one(on_a_space):
    headers = [f"2001:db8:1:2::{number}, 10.16.0.1" for number in range(4)]
    assert [on_a_space(addresses) for addresses in headers] == [200, 200, 429, 429]
    assert on_a_space("2001:db8:1:3::1, 10.16.0.1") == 200


def test_a_network_of_ipv6_addresses_that_connect_has_the_rate_of_one(monkeypatch):
    monkeypatch.setattr(middleware, "PAGES_PER_SECOND", 1)
    guard = RequestGuard(PlainTextResponse("done"))
    clients = [TestClient(guard, client=(f"2001:db8:1:2:{n}::1", 1)) for n in range(4)]
    assert [client.get("/").status_code for client in clients] == [200, 200, 429, 429]
    assert TestClient(guard, client=("2001:db8:1:3::1", 1)).get("/").status_code == 200
