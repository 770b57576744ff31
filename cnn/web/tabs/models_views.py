"""What the tab Models shows of models, as HTML."""

import math
from collections.abc import Mapping, Sequence

import torch

from cnn.data import datasets
from cnn.evaluation.report import EvaluationReport, latency
from cnn.models.checkpoints import Checkpoint, ModelCard
from cnn.models.descriptions import describe
from cnn.web import components
from cnn.web.report_views import confusion_matrix, percent

HEADS = (
    *("model", "parameters", "test accuracy", "with TTA", "reported"),
    *("calibration error", "OOD AUROC", "latency"),
)
PLOT = {"left": 52, "right": 470, "top": 14, "bottom": 222}
SIGNIFICANT = 1.96  # standard deviations: a 5 % level, two-sided

Grouped = Mapping[str, Mapping[str, Checkpoint]]  # data set -> name -> checkpoint


def model_list(groups: Grouped, chosen: str, predicting: set[str]) -> str:
    """Render the models grouped by data set; `predicting` are those in use on the page."""
    return components.render(
        "models_list.html",
        heads=HEADS,
        chosen=chosen,
        predicting=predicting,
        groups=[
            {
                "title": datasets.get_dataset(dataset).title,
                "rows": [_row(name, checkpoint) for name, checkpoint in models.items()],
            }
            for dataset, models in groups.items()
        ],
    )


def _row(name: str, checkpoint: Checkpoint) -> dict:
    card, seconds = checkpoint.card, latency(checkpoint)
    auroc = mean_auroc(card)
    cells = (
        (card.parameters, f"{card.parameters:,}"),
        (card.test_accuracy, percent(card.test_accuracy)),
        (card.test_accuracy_tta, percent(card.test_accuracy_tta)),
        (card.reference_accuracy, percent(card.reference_accuracy)),
        (card.ece, percent(card.ece)),
        (auroc, "" if auroc is None else f"{auroc:.3f}"),
        (seconds, f"{1000 * seconds:.1f} ms" if seconds else "measuring"),
    )
    return {
        "name": name,
        "description": describe(card.model),
        "cells": [{"value": "" if v is None else v, "text": text} for v, text in cells],
    }


def mean_auroc(card: ModelCard) -> float | None:
    """Average the AUROC over the kinds of out-of-distribution images; None without any."""
    values = card.ood_auroc.values()
    return sum(values) / len(values) if values else None


def accuracy_plot(groups: Grouped, chosen: str) -> str:
    """Render test accuracy against parameters (log scale), one plot per data set."""
    return components.render(
        "models_plot.html",
        chosen=chosen,
        plots=[
            _plot(datasets.get_dataset(dataset).title, models)
            for dataset, models in groups.items()
            if len(models) > 1
        ],
    )


def _plot(title: str, models: Mapping[str, Checkpoint]) -> dict:
    cards = {name: checkpoint.card for name, checkpoint in models.items()}
    accuracies = [100 * card.test_accuracy for card in cards.values()]
    low, high, step = accuracy_ticks(min(accuracies), max(accuracies))
    powers = [math.log10(card.parameters) for card in cards.values()]
    left, right = math.floor(min(powers) * 2) / 2, math.ceil(max(powers) * 2 + 0.1) / 2

    def x(power: float) -> float:
        return round(_between(power, left, right, PLOT["left"] + 14, PLOT["right"] - 14), 1)

    def y(value: float) -> float:
        return round(_between(value, low, high, PLOT["bottom"], PLOT["top"]), 1)

    count = round((high - low) / step)
    return {
        "title": title,
        "y_ticks": [
            {"at": y(low + n * step), "text": f"{low + n * step:g}"} for n in range(count + 1)
        ],
        "x_ticks": [
            {"at": x(power), "text": _short(10**power)}
            for power in range(math.ceil(left), math.floor(right) + 1)
        ],
        "points": [
            {
                "name": name,
                "x": x(math.log10(card.parameters)),
                "y": y(100 * card.test_accuracy),
                "text": f"{percent(card.test_accuracy)}, {card.parameters:,} parameters",
            }
            for name, card in cards.items()
        ],
    }


def accuracy_ticks(low: float, high: float) -> tuple[float, float, float]:
    """Find round bounds around [low, high] and a step that makes two to six intervals."""
    span = max(high - low, 0.1)
    step = 10 ** math.floor(math.log10(span))
    step = next(step * f for f in (0.2, 0.5, 1, 2, 5) if span / (step * f) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return round(first * step, 6), round(last * step, 6), step


def _between(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / (high - low) * (end - start)


def _short(number: float) -> str:
    return f"{number / 1e6:g} M" if number >= 1e6 else f"{number / 1e3:g} k"


def card(name: str, checkpoint: Checkpoint) -> str:
    """Render a model's card: its name in plain words, its figures and its command."""
    model_card = checkpoint.card
    dataset = datasets.get_dataset(model_card.dataset)
    figures = [
        ("data set", dataset.title, ""),
        ("test accuracy", percent(model_card.test_accuracy), ""),
        ("with TTA", percent(model_card.test_accuracy_tta), model_card.tta),
        ("parameters", f"{model_card.parameters:,}", ""),
        ("calibration error", percent(model_card.ece), ""),
    ]
    if model_card.reference_accuracy:
        figures.append(("reported by its tutorial", percent(model_card.reference_accuracy), ""))
    return components.render(
        "model_card.html",
        name=name,
        description=describe(model_card.model),
        figures=[figure for figure in figures if figure[1]],
        seconds=f"{model_card.train_seconds:,.0f} s",
        hardware=model_card.hardware,
        date=model_card.date,
        command=model_card.command,
        stopped_early=is_stopped_early(model_card),
    )


def is_stopped_early(model_card: ModelCard) -> bool:
    """Say whether the run ended before the last step of its recipe."""
    history = model_card.history
    return not history or history[-1]["step"] < history[-1]["steps"]


def comparison(names: Sequence[str], checkpoints: Sequence[Checkpoint], reports: Sequence) -> str:
    """Render two models of one data set side by side, and on which test images they differ."""
    cards = [checkpoint.card for checkpoint in checkpoints]
    rows = [
        _compared("test accuracy", [c.test_accuracy for c in cards], percent),
        _compared("with TTA", [c.test_accuracy_tta for c in cards], percent),
        _compared("calibration error", [c.ece for c in cards], percent, lower=True),
        _compared("OOD AUROC", [mean_auroc(c) for c in cards], lambda v: f"{v:.3f}"),
        _compared("parameters", [c.parameters for c in cards], lambda v: f"{v:,}", lower=True),
        _compared(
            "training",
            [c.train_seconds for c in cards],
            lambda v: f"{v:,.0f} s",
            lower=True,
        ),
    ]
    for index, name in enumerate(reports[0].classes):
        recalls = [report.recall[index] for report in reports]
        rows.append(_compared(f"recall: {name}", recalls, lambda v: percent(v, 1)))
    return components.render(
        "model_comparison.html",
        names=names,
        rows=[row for row in rows if any(row["cells"])],
        matrices=[
            confusion_matrix(report.confusion, report.classes, pressable=False)
            for report in reports
        ],
        agreement=_agreement(reports),
    )


def _compared(label: str, values: Sequence, text, lower: bool = False) -> dict:
    known = all(value is not None for value in values)
    better = None
    if known and values[0] != values[1]:
        better = int((values[1] > values[0]) != lower)
    written = ["" if value is None else text(value) for value in values]
    return {"label": label, "cells": written, "better": better}


def _agreement(reports: Sequence[EvaluationReport]) -> dict | None:
    """Count on which images each is correct, and test the difference (McNemar, 1947)."""
    first, second = ((report.predictions == report.labels) for report in reports)
    if len(first) != len(second) or not torch.equal(reports[0].labels, reports[1].labels):
        return None
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    apart = abs(only_first - only_second) / math.sqrt(max(1, only_first + only_second))
    return {
        "total": f"{len(first):,}",
        "both": f"{int((first & second).sum()):,}",
        "first": f"{only_first:,}",
        "second": f"{only_second:,}",
        "neither": f"{int((~first & ~second).sum()):,}",
        "verdict": "The difference is larger than chance explains (McNemar's test, 5 % level)."
        if apart > SIGNIFICANT
        else "A difference as small as this may be chance (McNemar's test, 5 % level).",
    }
