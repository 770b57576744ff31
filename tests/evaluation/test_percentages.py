"""Percentages are written by one rule, in Python and in the browser."""

import json
from pathlib import Path

import pytest

from cnn.evaluation.percentages import percent, percentages

SCRIPT = Path(__file__).parents[2] / "assets" / "percentages.js"
ROWS = {
    "thirds": ([1 / 3, 1 / 3, 1 / 3], ["33.4 %", "33.3 %", "33.3 %"]),
    "nearly certain": ([0.99997, 0.00003, 0.0], ["> 99.9 %", "< 0.1 %", "< 0.1 %"]),
    "just below": ([0.9988, 0.0012, 0.0], ["99.9 %", "0.1 %", "< 0.1 %"]),
    "certain in floating point": ([1.0, 0.0], ["> 99.9 %", "< 0.1 %"]),
    "ten alike": ([0.1] * 10, ["10.0 %"] * 10),
    "nothing predicted": ([0.0] * 10, ["0.0 %"] * 10),
    "seven alike": ([1 / 7] * 7, ["14.3 %"] * 6 + ["14.2 %"]),
}


def written(texts):
    return [text.replace("\u00a0", " ") for text in texts]


@pytest.mark.parametrize(("probabilities", "texts"), ROWS.values(), ids=ROWS)
def test_probabilities_are_written_as_percentages_that_sum_to_100(probabilities, texts):
    assert written(percentages(probabilities)) == texts


def test_the_browser_writes_the_same(browser):
    page = browser.new_page()
    page.add_script_tag(content=SCRIPT.read_text(encoding="utf-8"))
    rows = [probabilities for probabilities, _ in ROWS.values()]
    texts = page.evaluate("rows => rows.map(percentages)", json.loads(json.dumps(rows)))
    page.close()
    assert list(map(written, texts)) == [texts for _, texts in ROWS.values()]


def test_more_decimals_move_the_ends():
    assert written(percentages([0.99991, 0.00009], 2)) == ["99.99 %", "0.01 %"]
    assert written(percentages([0.999999, 0.000001], 2)) == ["> 99.99 %", "< 0.01 %"]


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.9996, "> 99.9 %"),
        (1, "100.0 %"),
        (0.5126, "51.3 %"),
    ],
)
def test_a_single_fraction_is_rounded_to_the_nearest(fraction, text):
    assert written([percent(fraction)]) == [text]
