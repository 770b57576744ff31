"""The log: only the program writes its lines, whatever visitors send."""

import io
import logging
import sys
from typing import TextIO

from cnn.web.server.limits import RateLimiter

TRACEBACKS_PER_SECOND = 0.5
MAX_MESSAGE = 500  # characters of an error in the log
_tracebacks = RateLimiter(TRACEBACKS_PER_SECOND)


class SanitizedStream(io.TextIOBase):
    """Wraps stdout or stderr to prevent log injection.

    Error messages are printed with their text, which may come from a visitor. What is written at
    once stays one entry: lines after its first are indented, control characters are escaped.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Write one entry."""
        first, *rest = text.removesuffix("\n").split("\n")
        lines = [first, *(line if line.startswith(" ") else "    " + line for line in rest)]
        ending = "\n" if text.endswith("\n") else ""
        self.stream.write("\n".join(map(_printable, lines)) + ending)
        return len(text)

    def flush(self) -> None:
        """Flush the wrapped stream."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Return whether the wrapped stream is a terminal."""
        return self.stream.isatty()


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def log_exception(log: logging.Logger, sentence: str, error: Exception) -> None:
    """Log an error in one line, and its traceback where there was none within two seconds.

    A visitor who finds a way to cause one could otherwise fill the disk.
    """
    with_traceback = error if _tracebacks.allows("") else None
    message = str(error)[:MAX_MESSAGE]
    log.error("%s %s: %s", sentence, type(error).__name__, message, exc_info=with_traceback)


def configure() -> None:
    """Log each request and each error to stderr; sanitize stderr and stdout."""
    sys.stderr, sys.stdout = SanitizedStream(sys.stderr), SanitizedStream(sys.stdout)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("cnn").setLevel(logging.INFO)
