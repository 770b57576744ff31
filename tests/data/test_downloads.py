"""Files from elsewhere, from a server on this machine: whole, or not at all."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading
from dataclasses import replace

import pytest

from cnn import UserError
from cnn.data import datasets, downloads
from cnn.data.datasets import MNIST


@pytest.fixture
def shelf(tmp_path):
    """A folder that is served, and the address of what lies in it."""
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


def test_a_file_comes_whole_and_says_how_far_it_is(shelf, tmp_path):
    folder, address = shelf
    content = bytes(range(256)) * 4_000
    (folder / "file").write_bytes(content)
    heard = []
    downloads.fetch([address + "file"], tmp_path / "in" / "it", _md5(content), heard.append)
    assert (tmp_path / "in" / "it").read_bytes() == content
    assert heard == sorted(heard) and heard[-1] == 1 and len(heard) > 2


def test_a_second_address_is_asked_where_the_first_fails(shelf, tmp_path):
    folder, address = shelf
    (folder / "file").write_bytes(b"whole")
    (folder / "broken").write_bytes(b"who")
    addresses = [address + name for name in ("missing", "broken", "file")]
    downloads.fetch(addresses, tmp_path / "it", _md5(b"whole"), lambda _: None)
    assert (tmp_path / "it").read_bytes() == b"whole"


def test_a_broken_file_is_not_kept(shelf, tmp_path):
    folder, address = shelf
    (folder / "broken").write_bytes(b"who")
    with pytest.raises(OSError, match="broken"):
        downloads.fetch([address + "broken"], tmp_path / "it", _md5(b"whole"), lambda _: None)
    assert not (tmp_path / "it").exists()


def test_one_process_at_a_time_is_in_a_folder_and_leaves_nothing(tmp_path):
    order = []

    def second():
        with downloads.exclusive(tmp_path):
            order.append("second")

    with downloads.exclusive(tmp_path) as beside:
        (beside / "half").write_bytes(b"half")
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


def test_pictures_that_are_not_there_are_downloaded_once(served, shelf):
    dataset, place = served
    heard = []
    assert [len(part) for part in datasets.load(dataset, 4, heard.append)] == [36, 4, 10]
    assert heard == sorted(heard) and heard[-1] == 1
    for path in shelf[0].iterdir():
        path.unlink()
    assert [len(part) for part in datasets.load(dataset, 4)] == [36, 4, 10]
    assert sorted(path.name for path in place.iterdir()) == [".lock", "MNIST"]


def test_a_download_that_breaks_off_leaves_nothing_and_is_told(served, shelf):
    dataset, place = served
    broken = shelf[0] / "t10k-labels-idx1-ubyte.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:10])
    with pytest.raises(UserError, match="synthetic digits, which need no download"):
        datasets.load(dataset, 4, lambda _: None)
    assert [path.name for path in place.iterdir()] == [".lock"]
    broken.write_bytes(whole)
    assert len(datasets.load(dataset, 4, lambda _: None).test) == 10


def test_files_that_broke_before_are_downloaded_anew(served):
    dataset, place = served
    datasets.load(dataset, 4, lambda _: None)
    (place / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"half")
    assert len(datasets.load(dataset, 4, lambda _: None).train) == 36


def test_who_leaves_a_download_leaves_nothing_behind(served):
    dataset, place = served

    def leave(share):
        if share > 0:
            raise UserError("left")

    with pytest.raises(UserError, match="left"):
        datasets.load(dataset, 4, leave)
    assert [path.name for path in place.iterdir()] == [".lock"]
