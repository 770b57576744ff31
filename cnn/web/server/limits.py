"""Limits: requests per second, and how many may be open at once, per session and address."""

import asyncio
import collections
import functools
import ipaddress
import time
from dataclasses import dataclass

MAX_KEYS = 10_000  # whose rate is remembered
MAX_OPEN = 400  # POST requests of all visitors together
MAX_OPEN_PER_ADDRESS = 200  # a class of thirty behind one address has about sixty
MAX_RECEIVING_PER_ADDRESS = 60  # bodies that are not complete yet
SLOW_AFTER = 3.0  # seconds until an incomplete body may be dropped in favor of another request


@functools.lru_cache(MAX_KEYS)
def address_key(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else host)


class RateLimiter:
    """A token bucket per key: `rate` requests per second, and twice as many in a burst."""

    def __init__(self, rate: float):
        self.rate = rate
        self._used: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def allows(self, key: str, cost: float = 1.0, now: float | None = None) -> bool:
        """Count a request and return whether it is within the rate; `now` is in seconds.

        One that costs more than another counts as `cost` requests.
        """
        now = time.monotonic() if now is None else now
        used = self._used_at(key, now)
        allowed = used + cost <= 2 * self.rate
        self._note(key, used + cost * allowed, now)
        return allowed

    def delay(self, key: str, cost: float, now: float | None = None) -> float:
        """Count what has come already; return the seconds until it is within the rate."""
        now = time.monotonic() if now is None else now
        used = self._used_at(key, now) + cost
        self._note(key, used, now)
        return max(0.0, used / self.rate - 2)

    def _used_at(self, key: str, now: float) -> float:
        used, since = self._used.pop(key, (0.0, now))
        return max(0.0, used - (now - since) * self.rate)

    def _note(self, key: str, used: float, now: float) -> None:
        self._used[key] = (used, now)
        if len(self._used) > MAX_KEYS:
            self._used.popitem(last=False)


@dataclass(eq=False)
class OpenRequest:
    """A request under way. `receiving` is true until its body is complete."""

    address: str
    task: asyncio.Task
    since: float
    receiving: bool = True
    dropped: bool = False

    def drop(self) -> None:
        """Cancel the request if its body is still incomplete."""
        if self.receiving and not self.dropped:
            self.dropped = True
            self.task.cancel()


class OpenRequests:
    """The POST requests that are open now; an address has a share of them."""

    def __init__(self):
        self._open: dict[OpenRequest, None] = {}  # in order of arrival

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, address: str, now: float) -> OpenRequest | None:
        """Register a request, or return None if there are too many.

        Where the limit is reached the oldest request whose body is slow makes room.
        """
        same = [other for other in self._open if other.address == address]
        if len(same) >= MAX_OPEN_PER_ADDRESS or (
            sum(other.receiving for other in same) >= MAX_RECEIVING_PER_ADDRESS
        ):
            crowd = same
        elif len(self._open) >= MAX_OPEN:
            crowd = list(self._open)
        else:
            crowd = None
        if crowd is not None:
            slow = (other for other in crowd if other.receiving and not other.dropped)
            slowest = next(slow, None)
            if slowest is None or now - slowest.since < SLOW_AFTER:
                return None
            slowest.drop()
        request = OpenRequest(address, asyncio.current_task(), now)
        self._open[request] = None
        return request

    def release(self, request: OpenRequest) -> None:
        """Forget a request that has been answered."""
        self._open.pop(request, None)


class OpenStreams:
    """Counts open GET requests per key, for streams of events that stay open."""

    def __init__(self, limit: int):
        self.limit = limit
        self._open: collections.Counter[str] = collections.Counter()

    def admit(self, key: str) -> bool:
        """Count one more, unless the key has as many as the limit."""
        if self._open[key] >= self.limit:
            return False
        self._open[key] += 1
        return True

    def release(self, key: str) -> None:
        """Count one less."""
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]
