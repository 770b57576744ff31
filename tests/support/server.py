"""The app as a process of its own, for tests and benchmarks."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[2]


@contextmanager
def running_app(log: TextIO | None = None, **place: str) -> Iterator[str]:
    """Run `python app.py` on a free port of this machine; gives its address once it answers.

    `log` is a file for what it writes to stderr, `place` what its environment holds besides.
    """
    with process(log, **place) as (address, _):
        yield address


@contextmanager
def process(log: TextIO | None = None, **place: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """The same; gives the process too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place |= {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    command = [sys.executable, "app.py"]
    app = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **place}, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        while not _answers(address):
            if app.poll() is not None:
                raise RuntimeError(f"app.py ended with exit code {app.returncode}")
            try:
                app.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        yield address, app
    finally:
        app.terminate()
        app.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False
