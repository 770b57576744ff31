"""`train`: a network from a recipe, kept as a checkpoint."""

import argparse
import contextlib
import dataclasses
import json
import signal
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from cnn import UserError, checkpoints, resumption, training
from cnn.commands import parts
from cnn.training import Progress


def add(commands) -> None:
    """Add the command."""
    train = parts.command(commands, "train", _train, "train a network and keep it as a checkpoint")
    train.add_argument("--output", type=Path, required=True, help="the checkpoint to write")
    train.add_argument(
        "--resume", type=Path, metavar="FILE", help="put the run aside here, and go on from here"
    )
    train.add_argument(
        "--continue-from",
        type=Path,
        metavar="CHECKPOINT",
        help="begin with its weights and, but for what is said here, its recipe in smaller steps",
    )
    parts.add_recipe(train)


def _train(arguments: argparse.Namespace) -> None:
    if arguments.output.is_dir():
        raise UserError(f"{str(arguments.output)!r} is a folder. Name a file to write.")
    origin = checkpoints.load(arguments.continue_from) if arguments.continue_from else None
    run = training.start(parts.recipe(arguments, origin), origin=origin)
    if arguments.resume and arguments.resume.exists():
        resumption.take_up(run, arguments.resume)
    report = _print_progress if arguments.json else _draw_progress(run.steps)
    with _interruptible() as interrupted:
        for progress in training.fit(run):
            report(progress)
            if arguments.resume and progress.validation_loss is not None:
                resumption.put_aside(run, arguments.resume)
            if interrupted:
                break
    checkpoint = training.conclude(run)
    checkpoints.save(arguments.output, checkpoint)
    card = checkpoint.card
    done = {
        "event": "done",
        "checkpoint": str(arguments.output),
        "seconds": card.seconds,
        "test_accuracy": card.test_accuracy,
        "test_accuracy_averaged": card.test_accuracy_averaged,
        "test_loss": card.test_loss,
    }
    if arguments.json:
        print(json.dumps(done), flush=True)
    else:
        print(
            f"{card.seconds:.1f} s, test accuracy {card.test_accuracy:.2%}, "
            f"kept in {arguments.output}"
        )


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """A list that is no longer empty once Ctrl-C was pressed; pressed twice, it stops at once."""
    pressed: list[int] = []

    def stop(number, _frame):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


_PROGRESS_KEYS = [
    field.name for field in dataclasses.fields(Progress) if field.name != "learning_rate"
]


def _print_progress(progress: Progress) -> None:
    values = {key: getattr(progress, key) for key in _PROGRESS_KEYS}
    print(json.dumps({"event": "progress"} | values), flush=True)


def _draw_progress(steps: int):
    bar = tqdm(total=steps, unit="step", leave=False)

    def report(progress: Progress) -> None:
        bar.update(progress.step - bar.n)
        bar.set_postfix(
            loss=f"{progress.train_loss:.3f}", accuracy=f"{progress.train_accuracy:.2%}"
        )
        if progress.validation_accuracy is not None:
            bar.write(
                f"epoch {progress.epoch}: {progress.seconds:.1f} s, "
                f"training {progress.train_accuracy:.2%} (loss {progress.train_loss:.4f}), "
                f"validation {progress.validation_accuracy:.2%} "
                f"(loss {progress.validation_loss:.4f}), "
                f"{progress.images_per_second:,.0f} pictures a second"
            )
        if progress.step == progress.steps:
            bar.close()

    return report
