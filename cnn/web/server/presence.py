"""Who is on the page: the sessions whose browser holds a stream open."""

import collections
import math
import time
from dataclasses import dataclass

MAX_SESSIONS = 10_000


@dataclass
class _Entry:
    address: str
    since: float  # when the session was first seen, or its last stream ended
    streams: int = 0
    had_stream: bool = False


class Presence:
    """Notes by address and session which streams (heartbeats and events) are open.

    Times are in seconds of `time.monotonic`.
    """

    def __init__(self):
        self._entries: collections.OrderedDict[str, _Entry] = collections.OrderedDict()

    def knows(self, session: str) -> bool:
        """Return whether a session has been seen."""
        return session in self._entries

    def see(self, session: str, address: str) -> None:
        """Note that a session has sent a request."""
        if session not in self._entries:
            self._entries[session] = _Entry(address, time.monotonic())
            if len(self._entries) > MAX_SESSIONS:
                closed = (key for key, entry in self._entries.items() if not entry.streams)
                del self._entries[next(closed, next(iter(self._entries)))]

    def opened(self, session: str, address: str) -> None:
        """Note that a stream has begun."""
        self.see(session, address)
        self._entries[session].streams += 1
        self._entries[session].had_stream = True

    def closed(self, session: str) -> None:
        """Note that a stream has ended."""
        if entry := self._entries.get(session):
            entry.streams = max(0, entry.streams - 1)
            entry.since = time.monotonic()

    def is_open(self, session: str) -> bool:
        """Return whether the session holds a stream."""
        entry = self._entries.get(session)
        return bool(entry and entry.streams)

    def had_stream(self, session: str) -> bool:
        """Return whether the session has ever held a stream, as a browser does."""
        entry = self._entries.get(session)
        return bool(entry and entry.had_stream)

    def absent_seconds(self, session: str) -> float:
        """Return for how long nobody has listened: 0 while somebody does, infinite if unknown."""
        entry = self._entries.get(session)
        if entry is None:
            return math.inf
        return 0.0 if entry.streams else time.monotonic() - entry.since

    def address(self, session: str) -> str | None:
        """Return the address that the session came from."""
        entry = self._entries.get(session)
        return entry.address if entry else None
