"""Limits per session and address: who asks too much waits, and the others do not."""

import asyncio

import pytest
from support import asynchronous

from cnn.settings import rate_limit
from cnn.web.server import limits
from cnn.web.server.limits import OpenRequests, OpenStreams, RateLimiter, address_key
from cnn.web.server.middleware import SESSIONS_PER_ADDRESS


def test_a_burst_beyond_the_rate_is_refused_for_one_key_alone():
    limiter = RateLimiter(10)
    assert [limiter.allows("a", now=0) for _ in range(25)] == [True] * 20 + [False] * 5
    assert limiter.allows("b", now=0)
    assert [limiter.allows("a", now=1) for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_request_that_costs_more_takes_more_of_the_rate():
    limiter = RateLimiter(10)
    assert limiter.allows("a", cost=15, now=0)
    assert not limiter.allows("a", cost=6, now=0)
    assert limiter.allows("a", cost=5, now=0)
    assert not limiter.allows("a", cost=1, now=0)


def test_what_comes_faster_than_the_rate_is_late_by_what_is_beyond_it():
    limiter = RateLimiter(10)
    assert limiter.delay("a", cost=20, now=0) == 0
    assert limiter.delay("a", cost=30, now=0) == pytest.approx(3)
    assert limiter.delay("b", cost=5, now=0) == 0
    assert limiter.delay("a", cost=0, now=2) == pytest.approx(1)


def test_requests_at_the_rate_are_never_refused():
    limiter = RateLimiter(10)
    assert all(limiter.allows("a", now=number / 10) for number in range(1000))


def test_a_class_of_thirty_behind_one_address_is_served_at_thirty_questions_a_second():
    session, address = RateLimiter(rate_limit()), RateLimiter(SESSIONS_PER_ADDRESS * rate_limit())
    for moment in range(30 * 20):  # 20 seconds, all thirty at the same moments
        for student in range(30):
            assert address.allows("school", now=moment / 30)
            assert session.allows(f"student {student}", now=moment / 30)


def test_the_addresses_of_one_ipv6_network_are_one_address():
    assert address_key("2001:db8:1:2::1") == address_key("2001:db8:1:2:ffff::9")
    assert address_key("2001:db8:1:2::1") != address_key("2001:db8:1:3::1")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1") == "192.0.2.1"
    assert address_key("fe80::1%eth0") == "fe80::/64"
    assert address_key("testclient") == "testclient"


def _with_requests(count: int, address: str, then, receiving: bool = True) -> object:
    """Run `then(requests, opened, tasks)` while that many of an address are open since 0 s."""

    async def run():
        requests, opened = OpenRequests(), []

        async def request():
            opened.append(requests.admit(address, now=0))
            opened[-1].receiving = receiving
            await asyncio.sleep(1_000)

        tasks = [asyncio.create_task(request()) for _ in range(count)]
        await asyncio.sleep(0)
        try:
            return await then(requests, opened, tasks)
        finally:
            for task in tasks:
                task.cancel()

    return asynchronous.run(run())


def test_the_slowest_body_makes_room_for_another_request():
    async def another(requests, opened, tasks):
        admitted = requests.admit("attacker", now=limits.SLOW_AFTER)
        await asyncio.sleep(0)
        return admitted, opened[0].dropped, tasks[0].cancelled(), tasks[1].done()

    admitted, dropped, cancelled, other = _with_requests(
        limits.MAX_RECEIVING_PER_ADDRESS, "attacker", another
    )
    assert admitted and dropped and cancelled and not other


def test_bodies_that_have_just_begun_make_no_room():
    async def another(requests, opened, _):
        return requests.admit("attacker", now=1), requests.admit("visitor", now=1)

    refused, admitted = _with_requests(limits.MAX_RECEIVING_PER_ADDRESS, "attacker", another)
    assert refused is None
    assert admitted


def test_requests_whose_body_is_complete_are_never_dropped():
    async def another(requests, opened, _):
        return requests.admit("busy", now=1_000), [request.dropped for request in opened]

    refused, dropped = _with_requests(limits.MAX_OPEN_PER_ADDRESS, "busy", another, receiving=False)
    assert refused is None
    assert not any(dropped)


def test_a_released_request_leaves_nothing_behind():
    async def release(requests, opened, _):
        for request in opened:
            requests.release(request)
        return len(requests)

    assert _with_requests(5, "visitor", release) == 0


@pytest.mark.parametrize("limit", [1, 3])
def test_streams_are_counted_per_key_until_they_end(limit):
    streams = OpenStreams(limit)
    assert [streams.admit("a") for _ in range(limit + 1)] == [True] * limit + [False]
    assert streams.admit("b")
    streams.release("a")
    assert streams.admit("a")
