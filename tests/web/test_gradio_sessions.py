"""What is used of Gradio's sessions without its documenting it."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.state_holder import SessionState
from support.small_page import Kept, build

from cnn.web.server.gradio_internals import (
    AWAY_TTL,
    LISTENER_SECONDS,
    MAX_SESSIONS,
    MAX_SESSIONS_PER_ADDRESS,
    NO_BROWSER_TTL,
    Sessions,
    count_events,
)
from cnn.web.server.presence import Presence

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
