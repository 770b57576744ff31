"""Lists the checkpoints in a folder, from their model cards.

examples:
  python -m cnn models
  python -m cnn models --checkpoints runs --json
"""

import argparse
import statistics
from pathlib import Path

from cnn.cli import arguments as common
from cnn.models import checkpoints
from cnn.models.card import ModelCard

COLUMNS = (
    "checkpoint",
    "network",
    "parameters",
    "test accuracy",
    "with TTA",
    "reference accuracy",
    "ECE",
    "OOD AUROC",
    "training seconds",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
    common.add_folder(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the cards as a table or as JSON."""
    cards = list(checkpoints.read_cards(arguments.checkpoints).items())
    if arguments.json:
        for path, card in cards:
            common.print_json({"checkpoint": str(path)} | card.to_dict())
        return
    rows = [_row(path, card) for path, card in cards]
    if arguments.markdown:
        print("|".join(["", *COLUMNS, ""]))
        print("|---|---|" + "---:|" * (len(COLUMNS) - 2))
        print("\n".join("|".join(["", *row, ""]) for row in rows))
    else:
        common.print_table(COLUMNS, rows)


def _row(path: Path, card: ModelCard) -> tuple[str, ...]:
    return (
        path.stem + (" (default)" if card.is_default else ""),
        card.model,
        f"{card.parameters:,}",
        f"{card.test_accuracy:.2%}",
        "" if card.test_accuracy_tta is None else f"{card.test_accuracy_tta:.2%}",
        "" if card.reference_accuracy is None else f"{card.reference_accuracy:.2%}",
        f"{card.ece:.2%}",
        f"{statistics.mean(card.ood_auroc.values()):.3f}" if card.ood_auroc else "",
        f"{card.train_seconds:,.0f}",
    )
