"""What it costs to refuse a hostile file: seconds and megabytes.

    python tests/benchmarks/refusals.py

Gives each file of tests/hostile.py to the loader of photographs and to that of checkpoints, and
prints the slowest and the largest. Exits 1 where a refusal took more than 0.2 s or 50 MB. The
memory is the peak of this process, as Linux counts it, above what it held before.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.hostile import FILES, HARMLESS  # noqa: E402

from cnn import UserError  # noqa: E402
from cnn.data.photos import open_photo  # noqa: E402
from cnn.models import checkpoints  # noqa: E402

SECONDS_GOAL = 0.2
MEGABYTES_GOAL = 50


def peak() -> float:
    """The most memory this process held since `forget_peak`, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Let the peak be what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def refusal(load, path: Path) -> tuple[float, float] | None:
    """Seconds and megabytes that it took to refuse a file; None where it was read."""
    forget_peak()
    before, start = peak(), time.perf_counter()
    try:
        load(path)
    except UserError:
        return time.perf_counter() - start, peak() - before
    return None


def main() -> int:
    files = FILES | HARMLESS
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        for load in (open_photo, checkpoints.load):
            path.write_bytes(b"")
            refusal(load, path)  # what is imported late is imported now
            for name, make in files.items():
                path.write_bytes(make())
                cost = refusal(load, path)
                if cost:
                    found[f"{name} at {load.__name__}"] = cost
    for measure, unit in enumerate(("s", "MB")):
        worst = sorted(found, key=lambda name: -found[name][measure])[:3]
        print(", ".join(f"{name}: {found[name][measure]:.3f} {unit}" for name in worst))
    missed = [n for n, (s, mb) in found.items() if s > SECONDS_GOAL or mb > MEGABYTES_GOAL]
    print(f"{len(found)} refusals, goals {SECONDS_GOAL} s and {MEGABYTES_GOAL} MB: ", end="")
    print("missed by " + ", ".join(missed) if missed else "met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
