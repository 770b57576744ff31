"""Measures how often digits on photographed sheets of paper are read.

    python tests/benchmarks/paper.py FOLDER... [--checkpoint FILE] [--misses]

FOLDER holds a folder per kind of sheet, with images named <number>_<digits>.jpg or .png. A sheet
is right when the digits found, from left to right, are those of its name; its prediction is
confident when each digit's is.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from cnn import UserError  # noqa: E402
from cnn.data.paper import find_digits  # noqa: E402
from cnn.data.photos import open_photo  # noqa: E402
from cnn.evaluation.prediction import predict  # noqa: E402
from cnn.models import checkpoints  # noqa: E402
from cnn.models.checkpoints import Checkpoint  # noqa: E402

COLUMNS = ("right", "doubted", "blank", "confident and wrong")


def outcomes(path: Path, checkpoint: Checkpoint) -> set[str]:
    """Return those of COLUMNS that hold for one sheet."""
    try:
        digits = find_digits(open_photo(path))
    except UserError:
        return {"doubted"}
    if not digits:
        return {"right"} if path.stem.endswith("_") else {"blank"}
    predictions = [predict(checkpoint, digit.image) for digit in digits]
    right = "".join(each.label for each in predictions) == path.stem.split("_")[1]
    if any(each.verdict != "confident" for each in predictions):
        return {"right", "doubted"} if right else {"doubted"}
    return {"right"} if right else {"confident and wrong"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--misses", action="store_true", help="name the sheets that are not right")
    arguments = parser.parse_args()
    if arguments.checkpoint:
        checkpoint = checkpoints.load(arguments.checkpoint)
    else:
        checkpoint = checkpoints.load_default(checkpoints.BUNDLED, "mnist")
    print(f"{'kind':24}{'n':>5}" + "".join(f"{column:>21}" for column in COLUMNS))
    kinds = sorted(kind for folder in arguments.folders for kind in folder.iterdir())
    for kind in kinds:
        counts: Counter[str] = Counter()
        paths = sorted(kind.iterdir())
        for path in paths:
            outcome = outcomes(path, checkpoint)
            counts.update(outcome)
            if arguments.misses and "right" not in outcome:
                print(f"  {path}: {', '.join(outcome)}")
        shares = "".join(f"{counts[column] / len(paths):21.1%}" for column in COLUMNS)
        print(f"{kind.name:24}{len(paths):5}{shares}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
