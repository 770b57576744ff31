"""Training curves: a canvas that stays, and the JSON that curves.js draws on it."""

import json
from collections.abc import Mapping, Sequence

import gradio as gr

from cnn.web import components

METRICS = {"loss": "Loss", "accuracy": "Accuracy, %", "learning_rate": "Learning rate"}
SPLITS = {"train": ("training", "#8f9198"), "validation": ("validation", "#ff6a3a")}
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
    """Describe one metric of a run by step, for training and validation.

    `rows` hold `step`, `seconds`, `split`, `loss`, `accuracy` and `learning_rate` (jobs.job).
    """
    splits = {split: [row for row in rows if row["split"] == split] for split in SPLITS}
    if metric == "learning_rate":
        return _dump(metric, "step", [_curve("", SPLITS["train"][1], splits["train"], metric)])
    curves = [_curve(*SPLITS[split], rows, metric) for split, rows in splits.items()]
    return _dump(metric, "step", curves)


def of_history(history: Sequence[Row], metric: str) -> str:
    """Describe one metric of a model card's history by epoch, for training and validation."""
    curves = [
        {
            "name": name,
            "color": color,
            "points": [
                (epoch["epoch"], _scaled(metric, epoch[f"{split}_{metric}"])) for epoch in history
            ],
        }
        for split, (name, color) in SPLITS.items()
    ]
    return _dump(metric, "epoch", curves)


def of_runs(runs: Sequence[Sequence[Row]], metric: str, by: str, split: str) -> str:
    """Lay one metric of several runs over one another, by "step" or "seconds"."""
    curves = [
        _curve(
            f"run {number}",
            color,
            [row for row in rows if row["split"] == split],
            metric,
            by,
        )
        for number, (rows, color) in enumerate(zip(runs, RUN_COLORS, strict=False), 1)
    ]
    return _dump(metric, by, curves)


def _curve(
    name: str,
    color: str,
    rows: Sequence[Row],
    metric: str,
    by: str = "step",
    smooth: bool = False,
) -> dict:
    values = [_scaled(metric, row[metric]) for row in rows]
    points = [(round(row[by], 2), value) for row, value in zip(rows, values, strict=True)]
    return {"name": name, "color": color, "points": _thinned(points)}


def _thinned(points: list) -> list:
    return [*points[: -1 : 1 + len(points) // MAX_POINTS], *points[-1:]]


def _scaled(metric: str, value: float) -> float:
    return float(f"{100 * value if metric == 'accuracy' else value:.4g}")


def _dump(metric: str, by: str, curves: list[dict]) -> str:
    return json.dumps({"title": METRICS[metric], "by": by, "curves": curves})
