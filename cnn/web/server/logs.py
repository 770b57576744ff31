"""The log: lines that only the program writes, whatever visitors send."""

import io
import logging
import sys
from typing import TextIO


class SanitizedStream(io.TextIOBase):
    """A stream before another one that lets nobody forge a line.

    Faults are printed with their words, and those may be a visitor's. What comes in one piece
    stays one entry: the lines after its first are indented, control characters are escaped.
    """

    def __init__(self, log: TextIO):
        self.log = log

    def write(self, text: str) -> int:
        """Write one entry."""
        first, *rest = text.removesuffix("\n").split("\n")
        lines = [first, *(line if line.startswith(" ") else "    " + line for line in rest)]
        ending = "\n" if text.endswith("\n") else ""
        self.log.write("\n".join(map(_printable, lines)) + ending)
        return len(text)

    def flush(self) -> None:
        """Write what the stream behind still holds."""
        self.log.flush()


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def configure() -> None:
    """Log each request, and any fault, to stderr."""
    sys.stderr = SanitizedStream(sys.stderr)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("cnn").setLevel(logging.INFO)
