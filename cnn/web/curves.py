"""Training curves: a canvas that stays, and the JSON that curves.js draws on it."""

import json
from collections.abc import Mapping, Sequence

import gradio as gr

from cnn.web import components

METRICS = {"loss": "Loss", "accuracy": "Accuracy, %", "learning_rate": "Learning rate"}
TRAINING, VALIDATION = "#8f9198", "#ff6a3a"
RUN_COLORS = ("#8f9198", "#4f9bd9", "#d9a441", "#ff6a3a")
MAX_POINTS = 300  # per curve: one for two pixels
SMOOTHING = 0.9  # of the last smoothed value that the next one keeps, per recorded batch

Row = Mapping[str, float | str | None]


def canvas(value: str, css_class: str = "") -> gr.HTML:
    """Make a canvas for the JSON of this module; it is drawn anew with each value."""
    return gr.HTML(
        value,
        html_template="<canvas role='img'></canvas>"
        "<a class='saved' download='curve.png' href='#'>save as PNG</a>",
        js_on_load=components.asset("curves.js"),
        elem_classes=f"curves {css_class}",
        apply_default_css=False,
    )


def of_run(rows: Sequence[Row], metric: str) -> str:
    """Describe one metric of a run by step: recorded batches, smoothed too, and validation.

    `rows` hold `step`, `seconds`, `split`, `loss`, `accuracy` and `learning_rate` (jobs.job).
    """
    train = _points(rows, "train", metric, "step")
    if metric == "learning_rate":
        return _dump(metric, "step", [_curve("", TRAINING, train)])
    curves = [
        _curve("batches", TRAINING, train, "faint"),
        _curve("training, smoothed", TRAINING, _smoothed(train)),
        _curve("validation", VALIDATION, _points(rows, "validation", metric, "step"), "points"),
    ]
    return _dump(metric, "step", curves)


def of_history(history: Sequence[Row], metric: str) -> str:
    """Describe one metric of a model card's history by epoch, for training and validation."""
    curves = [
        _curve(
            name,
            color,
            [(row["epoch"], _scaled(metric, row[f"{split}_{metric}"])) for row in history],
        )
        for split, name, color in (
            ("train", "training", TRAINING),
            ("validation", "validation", VALIDATION),
        )
    ]
    return _dump(metric, "epoch", curves)


def of_runs(runs: Sequence[Sequence[Row]], metric: str, by: str) -> str:
    """Lay one metric of several runs over one another, by "step" or "seconds".

    Each has a line for its smoothed batches and points for validation.
    """
    curves = []
    for number, (rows, color) in enumerate(zip(runs, RUN_COLORS, strict=False), 1):
        name, train = f"run {number}", _points(rows, "train", metric, by)
        curves.append(_curve(name, color, _smoothed(train)))
        validation = _points(rows, "validation", metric, by)
        curves.append(_curve(f"{name}, validation", color, validation, "points"))
    return _dump(metric, by, curves)


def _points(rows: Sequence[Row], split: str, metric: str, by: str) -> list[tuple[float, float]]:
    return [
        (round(row[by], 2), _scaled(metric, row[metric])) for row in rows if row["split"] == split
    ]


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average each value with those before it, the older the less: an unbiased moving average."""
    mean, weight, smoothed = 0.0, 0.0, []
    for at, value in points:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smoothed.append((at, float(f"{mean / weight:.4g}")))
    return smoothed


def _curve(name: str, color: str, points: Sequence, style: str = "line") -> dict:
    """Describe a curve drawn as a "line", a "faint" one without a legend, or "points"."""
    return {"name": name, "color": color, "style": style, "points": _thinned(points)}


def _thinned(points: Sequence) -> list:
    return [*points[: -1 : 1 + len(points) // MAX_POINTS], *points[-1:]]


def _scaled(metric: str, value: float) -> float:
    return float(f"{100 * value if metric == 'accuracy' else value:.4g}")


def _dump(metric: str, by: str, curves: list[dict]) -> str:
    return json.dumps({"title": METRICS[metric], "by": by, "curves": curves})
