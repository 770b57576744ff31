"""Runs commands as a script would: words in, lines and an exit code out."""

import contextlib
import io
import json

from cnn.__main__ import main

SHORT_RUN = ("--dataset", "synthetic", "--model", "two-conv", "--batch-size", "50", "--epochs", "2")


def run(*words) -> tuple[int, str, str]:
    """Return the exit code, and what was written to stdout and to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def lines(*words) -> list[dict]:
    """Return the JSON lines of a command that succeeds."""
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]
