"""Sets of pen strokes: read from files, split by contributor, and drawn with many pens."""

import numpy as np
import pytest
import torch

from cnn import UserError
from cnn.data import outliers, pen_strokes
from cnn.data.datasets import CIFAR10, MNIST
from cnn.data.drawings import digit_from_strokes

LINE = np.array([[0, 0], [0, 100]])
CORNER = np.array([[0, 100], [80, 100], [20, 0]])


def write_npz(path, labels: list[str], contributors: list[str] | None = None, strokes: int = 1):
    """Write drawings that are lines and, with two strokes, corners beside them."""
    parts = [LINE, CORNER][:strokes] * len(labels)
    lengths = np.cumsum([0, *map(len, parts)])
    columns = {
        "points": np.concatenate(parts).astype(np.int16),
        "stroke_start": lengths[:-1],
        "sample_start": np.arange(len(labels) + 1) * strokes,
        "labels": np.array(labels),
    }
    if contributors:
        columns["contributor"] = np.array(contributors)
    np.savez(path, **columns)
    return str(path)


def test_a_file_holds_drawings_with_y_down_and_labels(tmp_path):
    strokes = pen_strokes.load(write_npz(tmp_path / "a.npz", ["1", "x"], strokes=2))
    assert strokes.labels == ["1", "x"]
    assert [[len(stroke) for stroke in drawing] for drawing in strokes.drawings] == [[2, 3]] * 2
    assert strokes.drawings[1][0].tolist() == [[0, 0], [0, -100]]
    assert strokes.contributors is None


@pytest.mark.parametrize("missing", ["points", "stroke_start", "sample_start", "labels"])
def test_a_file_that_lacks_a_part_is_refused(tmp_path, missing):
    path = write_npz(tmp_path / "a.npz", ["1"])
    with np.load(path) as file:
        columns = {name: file[name] for name in file if name != missing}
    np.savez(path, **columns)
    with pytest.raises(UserError, match="a.npz' could not be read"):
        pen_strokes.load(path)


def test_a_missing_set_is_an_error_that_says_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_DATA", str(tmp_path))
    with pytest.raises(UserError, match="from Zenodo"):
        pen_strokes.load("unipen_letters")
    with pytest.raises(UserError, match="There is no file .*quickdraw.npz"):
        pen_strokes.load("quickdraw")


def test_a_name_stands_for_a_file_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_DATA", str(tmp_path))
    (tmp_path / "strokes").mkdir()
    write_npz(tmp_path / "strokes" / "quickdraw.npz", ["ant", "bee"])
    assert pen_strokes.load("quickdraw").labels == ["ant", "bee"]


def test_all_drawings_of_four_contributors_are_held_out(tmp_path):
    contributors = ["aga", "syn", "apa", "syn", "gmd", "pri", "val"]
    path = write_npz(tmp_path / "a.npz", list("0123456"), contributors)
    train, held_out = pen_strokes.split(pen_strokes.load(path))
    assert train.labels == ["1", "3", "6"]
    assert held_out.contributors == ["aga", "apa", "gmd", "pri"]


def test_the_last_tenth_of_a_set_without_contributors_is_held_out(tmp_path):
    path = write_npz(tmp_path / "a.npz", [str(i) for i in range(20)])
    train, held_out = pen_strokes.split(pen_strokes.load(path))
    assert (len(train.labels), held_out.labels) == (18, ["18", "19"])


def test_what_may_look_like_a_digit_is_left_out(tmp_path):
    path = write_npz(tmp_path / "a.npz", ["A", "O", "|", "circle", "cat", "7"])
    strokes = pen_strokes.without_digit_like(pen_strokes.load(path))
    assert strokes.labels == ["A", "cat"]


def test_copies_of_a_drawing_differ_and_the_same_seed_gives_the_same(tmp_path):
    strokes = pen_strokes.load(write_npz(tmp_path / "a.npz", ["1"] * 3, strokes=2))
    images = pen_strokes.rasterize_varied(strokes, copies=2, seed=5)
    assert images.shape == (6, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert len({image.numpy().tobytes() for image in images}) == 6
    assert torch.equal(images, pen_strokes.rasterize_varied(strokes, copies=2, seed=5))


def test_a_set_can_be_drawn_as_the_page_draws(tmp_path):
    strokes = pen_strokes.load(write_npz(tmp_path / "a.npz", ["1"] * 2, strokes=2))
    images = pen_strokes.rasterize(strokes)
    expected = digit_from_strokes([stroke.tolist() for stroke in strokes.drawings[0]])
    assert images.dtype == torch.uint8
    torch.testing.assert_close(images.float() / 255, expected.repeat(2, 1, 1, 1), atol=2e-3, rtol=0)


def test_digits_are_drawn_with_their_labels(tmp_path):
    path = write_npz(tmp_path / "a.npz", [*"0123456789" * 2, "x"])
    train, held_out = pen_strokes.digits(path)
    assert train.labels.tolist() == [int(label) for label in "001122334455667788990011223344556677"]
    assert held_out.labels.tolist() == [8, 9]
    assert len(train.images) == 36


def test_a_set_without_digits_is_refused(tmp_path):
    with pytest.raises(UserError, match="hold no digits"):
        pen_strokes.digits(write_npz(tmp_path / "a.npz", ["x", "y"]))


def test_pen_strokes_and_synthetic_symbols_are_outliers_for_drawn_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(outliers, "SYNTHETIC_SYMBOLS", 50)
    path = write_npz(tmp_path / "a.npz", ["A"] * 9 + ["O"] * 9 + ["C"])
    train, held_out = outliers.load((path, "synthetic_symbols"), MNIST)
    assert (len(train), len(held_out)) == (2 * 9 + 45, 1 + 5)


def test_pen_strokes_are_no_outliers_for_photographs(tmp_path):
    path = write_npz(tmp_path / "a.npz", ["A"] * 10)
    with pytest.raises(UserError, match="do not fit CIFAR-10"):
        outliers.load((path,), CIFAR10)
