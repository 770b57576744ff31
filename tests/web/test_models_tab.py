"""What the tab Models shows of models, as HTML."""

import math
from dataclasses import replace

import pytest
import torch
from support.learner import BRIEF, CPU, checkpoint, few

from cnn.evaluation.report import EvaluationReport
from cnn.training.finalize import finalize
from cnn.training.loop import fit
from cnn.training.state import start
from cnn.web import report_views
from cnn.web.tabs import models_views


@pytest.fixture
def report() -> EvaluationReport:
    """Cat, cat, dog, dog, fox: the second cat and the first dog are wrong."""
    return EvaluationReport(
        ("cat", "dog", "fox"),
        labels=torch.tensor([0, 0, 1, 1, 2]),
        predictions=torch.tensor([0, 2, 0, 1, 2]),
        confidence=torch.tensor([0.6, 0.9, 0.7, 0.8, 0.5]),
    )


def test_the_command_of_an_interrupted_run_is_called_the_start_of_it():
    run = start(replace(BRIEF, epochs=1.5), few(), CPU)
    steps = fit(run)
    next(steps)
    assert "by the start of</p>" in models_views.card("mine", finalize(run))
    for _ in steps:
        pass
    assert "by</p>" in models_views.card("mine", finalize(run))


def test_names_are_text_and_not_markup():
    html = models_views.model_list({"synthetic": {"<b>x</b>": checkpoint()}}, "", set())
    assert "<b>x" not in html and "&lt;b&gt;x" in html


def test_the_strongest_cell_is_the_most_frequent_mistake():
    counts = torch.tensor([[90, 2, 8], [4, 96, 0], [0, 0, 100]])
    html = report_views.confusion_matrix(counts, ("a", "b", "c"), "0,2")
    cells = html.split("<td class=")[1:]
    errors = [cell for cell in cells if cell.startswith('"error"')]
    strengths = {cell.split('data-pick="')[1][:3]: cell.split("--strength:")[1] for cell in errors}
    assert strengths["0,2"].startswith("1.0") and strengths["1,0"].startswith("0.5")
    assert html.count('aria-pressed="true"') == 1


def test_bars_are_on_a_scale_that_shows_the_differences(report):
    good = replace(
        report,
        labels=torch.arange(3).repeat_interleave(1000),
        predictions=torch.arange(3).repeat_interleave(1000).clone(),
        confidence=torch.full((3000,), 0.9),
    )
    good.predictions[:20] = 1
    html = report_views.class_metrics(good)
    assert "bars from 90 % to 100 %" in html and "98.0\u00a0%" in html
    assert "--fraction:0.8" in html


def test_a_reliability_diagram_names_its_error(report):
    html = report_views.reliability_diagram(report)
    gap = (0.6 - 1) + 0.9 + 0.7 + (0.8 - 1) + (0.5 - 1)
    assert "Expected calibration error" in html
    assert ("overconfident" if gap > 0 else "underconfident") in html


def test_a_comparison_counts_images_and_tests_the_difference(report):
    other = replace(report, predictions=report.labels)
    card = checkpoint()
    html = models_views.comparison(("one", "two"), (card, card), (report, other))
    words = " ".join(html.split())
    assert "both predict 3 correctly" in words
    assert "only one 0, only two 2, neither 0" in words
    assert "may be chance" in words  # 2 against 0: |z| is sqrt 2


def test_ticks_are_round_and_enclose_the_values():
    for low, high in ((0.98, 0.99), (70.1, 95.2), (98.82, 99.72), (5.0, 5.0)):
        first, last, step = models_views.accuracy_ticks(low, high)
        assert first <= low and high <= last + 1e-6
        assert math.isclose((last - first) / step, round((last - first) / step), abs_tol=1e-6)
