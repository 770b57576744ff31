"""Downloads are whole files or none, from a server on this machine."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import socketserver
import struct
import threading
from dataclasses import replace

import pytest

from cnn import UserError
from cnn.data import datasets, downloads
from cnn.data.datasets import MNIST


@pytest.fixture
def shelf(tmp_path):
    """Serve a folder: its path and its address."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_a_download_is_whole_and_reports_its_progress(shelf, tmp_path):
    folder, address = shelf
    content = bytes(range(256)) * 4_000
    (folder / "file").write_bytes(content)
    fractions = []
    downloads.fetch([address + "file"], tmp_path / "in" / "it", _md5(content), fractions.append)
    assert (tmp_path / "in" / "it").read_bytes() == content
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len(fractions) > 2


def test_the_next_mirror_follows_one_that_fails(shelf, tmp_path):
    folder, address = shelf
    (folder / "file").write_bytes(b"whole")
    (folder / "broken").write_bytes(b"who")
    with _raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwho") as cut_short:
        with _raw_server(b"no HTTP at all") as confused:
            mirrors = [
                "not an address",
                "http://127.0.0.1:1/refused",
                address + "missing",
                address + "broken",
                cut_short,
                confused,
                address + "file",
            ]
            downloads.fetch(mirrors, tmp_path / "it", _md5(b"whole"), lambda _: None)
    assert (tmp_path / "it").read_bytes() == b"whole"


def test_a_redirect_is_followed(shelf, tmp_path):
    folder, address = shelf
    (folder / "file").write_bytes(b"whole")
    answer = f"HTTP/1.1 302 Found\r\nLocation: {address}file\r\nContent-Length: 0\r\n\r\n"
    with _raw_server(answer.encode()) as redirect:
        downloads.fetch([redirect], tmp_path / "it", _md5(b"whole"), lambda _: None)
    assert (tmp_path / "it").read_bytes() == b"whole"


@contextlib.contextmanager
def _raw_server(answer: bytes):
    """Send the same bytes to each request and close the connection; yield the address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/file"
        server.shutdown()


def test_a_broken_file_is_not_kept(shelf, tmp_path):
    folder, address = shelf
    (folder / "broken").write_bytes(b"who")
    with pytest.raises(OSError, match="broken"):
        downloads.fetch([address + "broken"], tmp_path / "it", _md5(b"whole"), lambda _: None)
    assert not (tmp_path / "it").exists()


def test_one_process_at_a_time_locks_a_folder_and_leaves_nothing(tmp_path):
    order = []

    def second():
        with downloads.exclusive(tmp_path):
            order.append("second")

    with downloads.exclusive(tmp_path) as temporary:
        (temporary / "half").write_bytes(b"half")
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def _idx(*shape: int) -> bytes:
    """A file of MNIST's kind, full of zeros, packed."""
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
    size = 1
    for side in shape:
        size *= side
    return gzip.compress(head + bytes(size))


@pytest.fixture
def served(shelf, tmp_path, monkeypatch):
    """MNIST in small, to be downloaded from here; and where it then lies."""
    folder, address = shelf
    archives = []
    for name, shape in (
        ("train-images-idx3-ubyte.gz", (40, 28, 28)),
        ("train-labels-idx1-ubyte.gz", (40,)),
        ("t10k-images-idx3-ubyte.gz", (10, 28, 28)),
        ("t10k-labels-idx1-ubyte.gz", (10,)),
    ):
        content = _idx(*shape)
        (folder / name).write_bytes(content)
        archives.append((f"MNIST/raw/{name}", _md5(content), (address + name,)))
    monkeypatch.setenv("CNN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(
        datasets._MNIST, "resources", [(a[0].rsplit("/", 1)[1], a[1]) for a in archives]
    )
    return replace(MNIST, archives=tuple(archives)), tmp_path / "data"


def test_missing_images_are_downloaded_once(served, shelf):
    dataset, target = served
    fractions = []
    assert [len(part) for part in datasets.load(dataset, 4, fractions.append)] == [36, 4, 10]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    for path in shelf[0].iterdir():
        path.unlink()
    assert [len(part) for part in datasets.load(dataset, 4)] == [36, 4, 10]
    assert sorted(path.name for path in target.iterdir()) == [".lock", "MNIST"]


def test_an_interrupted_download_leaves_nothing_and_is_an_error(served, shelf):
    dataset, target = served
    broken = shelf[0] / "t10k-labels-idx1-ubyte.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:10])
    with pytest.raises(UserError, match="synthetic digits, which need no download"):
        datasets.load(dataset, 4, lambda _: None)
    assert [path.name for path in target.iterdir()] == [".lock"]
    broken.write_bytes(whole)
    assert len(datasets.load(dataset, 4, lambda _: None).test) == 10


def test_broken_files_are_downloaded_again(served):
    dataset, target = served
    datasets.load(dataset, 4, lambda _: None)
    (target / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"half")
    assert len(datasets.load(dataset, 4, lambda _: None).train) == 36


def test_a_cancelled_download_leaves_nothing(served):
    dataset, target = served

    def cancel(fraction):
        if fraction > 0:
            raise UserError("cancelled")

    with pytest.raises(UserError, match="cancelled"):
        datasets.load(dataset, 4, cancel)
    assert [path.name for path in target.iterdir()] == [".lock"]
