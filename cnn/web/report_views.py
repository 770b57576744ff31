"""An evaluation as HTML: confusion matrix, precision and recall, reliability diagram."""

import math
from collections.abc import Sequence

from torch import Tensor

from cnn.evaluation import percentages
from cnn.evaluation.report import EvaluationReport
from cnn.web import components


def percent(fraction: float | None, decimals: int = 2) -> str:
    """Write a fraction in [0, 1] as a percentage; "" for None."""
    return "" if fraction is None else percentages.percent(fraction, decimals)


def confusion_matrix(
    counts: Tensor, classes: Sequence[str], chosen: str = "", pressable: bool = True
) -> str:
    """Render a confusion matrix, int64 (classes, classes), rows true and columns predicted.

    `chosen` is the key of the ringed cell, "true,predicted"; only `pressable` cells are chosen.
    """
    errors = counts.clone().fill_diagonal_(0)
    worst, most = max(1, int(errors.max())), max(1, int(counts.diagonal().max()))
    return components.render(
        "confusion_matrix.html",
        classes=classes,
        chosen=chosen,
        pressable=pressable,
        rows=[
            [
                {
                    "key": f"{row},{column}",
                    "count": count,
                    "diagonal": row == column,
                    "strength": round(count / (most if row == column else worst), 3),
                    "true": classes[row],
                    "predicted": classes[column],
                }
                for column, count in enumerate(cells)
            ]
            for row, cells in enumerate(counts.tolist())
        ],
    )


def class_metrics(report: EvaluationReport) -> str:
    """Render recall and precision per class, on a scale that shows the differences."""
    values = [*report.recall, *report.precision]
    floor = min(90, 10 * math.floor(10 * min(values) - 1e-9))
    worst = min(report.recall)

    def bar(value: float) -> dict:
        fraction = max(0.0, (100 * value - floor) / (100 - floor))
        return {"fraction": round(fraction, 4), "text": percent(value, 1)}

    return components.render(
        "class_metrics.html",
        floor=floor,
        rows=[
            {
                "name": name,
                "worst": recall == worst < max(report.recall),
                "recall": bar(recall),
                "precision": bar(precision),
            }
            for name, recall, precision in zip(
                report.classes, report.recall, report.precision, strict=True
            )
        ],
    )


def reliability_diagram(report: EvaluationReport) -> str:
    """Render accuracy in steps of confidence beside perfect calibration (Guo et al., 2017)."""
    reliability = report.reliability
    bins, total = len(reliability.counts), int(reliability.counts.sum())
    width = 366 / bins
    gap = reliability.counts * (reliability.confidence - reliability.accuracy)
    ece = gap.abs().sum().item() / max(1, total)
    mean = gap.sum().item()
    return components.render(
        "reliability.html",
        ece=percent(ece),
        above="It is overconfident on the whole."
        if mean > 0
        else "It is underconfident on the whole.",
        ticks=[
            {"x": 44 + 3.66 * value, "y": 280 - 2.7 * value, "text": value}
            for value in range(0, 101, 20)
        ],
        bars=[
            {
                "x": round(44 + number * width + 1, 1),
                "y": round(280 - 270 * accuracy, 1),
                "width": round(width - 2, 1),
                "height": round(270 * accuracy, 1),
                "text": f"{count:,.0f} images: confidence {percent(confidence, 1)}, "
                f"accuracy {percent(accuracy, 1)}",
            }
            for number, (count, confidence, accuracy) in enumerate(
                zip(*(values.tolist() for values in reliability), strict=True)
            )
            if count
        ],
    )
