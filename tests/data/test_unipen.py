"""UNIPEN's distribution is read character by character, as its `.SEGMENT` lines say."""

import os
from pathlib import Path

import numpy as np
import pytest

from cnn import UserError
from cnn.data import pen_strokes, unipen

PEN = """.VERSION 1.0
.PEN_DOWN
.PEN_UP
.PEN_DOWN
0 10
5 20
.PEN_UP
7 7
.PEN_DOWN
1 2
3 4
5 6
7 8
.PEN_UP
.PEN_DOWN
9 9
"""
CHARACTERS = """.VERSION 1.0
.INCLUDE aaa/aaa.lex
.INCLUDE aaa/w1.dat
.SEGMENT CHARACTER 0-2 ? "7"
.SEGMENT CHARACTER 2:1-2:2 OK "1"
.SEGMENT CHARACTER 0,3 GOOD "i"
.SEGMENT CHARACTER 3 GOOD "%s"
"""


@pytest.fixture
def root(tmp_path):
    for path, text in (("include/aaa/w1.dat", PEN), ("data/1a/aaa/w1.dat", CHARACTERS % "ab")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_a_character_has_the_strokes_between_its_components(root):
    drawings, labels, contributors = unipen.read(root, "1a")
    assert labels == ["7", "1", "i"]
    assert contributors == ["aaa"] * 3
    assert [stroke.tolist() for stroke in drawings[0]] == [
        [[0, -10], [5, -20]],
        [[1, -2], [3, -4], [5, -6], [7, -8]],
    ]


def test_a_character_may_begin_and_end_within_a_stroke(root):
    drawings, _, _ = unipen.read(root, "1a")
    assert [stroke.tolist() for stroke in drawings[1]] == [[[3, -4], [5, -6]]]


def test_a_character_may_have_components_apart(root):
    drawings, _, _ = unipen.read(root, "1a")
    assert [len(stroke) for stroke in drawings[2]] == [2, 1]


def test_only_the_wanted_labels_are_kept(root):
    assert unipen.read(root, "1a", "0123456789")[1] == ["7", "1"]


def test_a_missing_distribution_is_an_error_that_says_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match="Download train_r01_v07 from Zenodo, 10.5281/zenodo"):
        unipen.read(tmp_path, "1a")


@pytest.mark.parametrize(
    "characters", ['.SEGMENT CHARACTER 9 OK "1"', '.SEGMENT CHARACTER x OK "1"']
)
def test_a_segment_without_pen_data_is_an_error(root, characters):
    (root / "data/1a/aaa/w1.dat").write_text(characters)
    with pytest.raises(UserError, match="UNIPEN could not be read from"):
        unipen.read(root, "1a")


def test_the_official_digits_are_those_of_the_npz_file():
    folder = Path(os.environ.get("CNN_DATA", ""))
    if not (folder / unipen.FOLDER).is_dir() or not (folder / "strokes").is_dir():
        pytest.skip("needs UNIPEN in the folder CNN_DATA")
    drawings, labels, contributors = unipen.read(folder / unipen.FOLDER, "1a", "0123456789")
    stored = pen_strokes.load("unipen_digits")
    for name in set(contributors):
        ours = [i for i, contributor in enumerate(contributors) if contributor == name]
        theirs = [i for i, other in enumerate(stored.contributors) if other == name]
        assert [labels[i] for i in ours] == [stored.labels[i] for i in theirs]
        for i, j in zip(ours, theirs, strict=True):
            expected = [len(stroke) for stroke in stored.drawings[j]]
            assert [len(stroke) for stroke in drawings[i]] == expected
            np.testing.assert_allclose(_unit(drawings[i]), _unit(stored.drawings[j]), atol=0.002)


def _unit(drawing: list[np.ndarray]) -> np.ndarray:
    """The points with their box's longer side as the unit and its corner at 0."""
    points = np.concatenate(drawing)
    return (points - points.min(0)) / max(np.ptp(points, axis=0).max(), 1)
