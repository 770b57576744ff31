"""`train`: a network from a recipe, kept as a checkpoint."""

import argparse
import contextlib
import dataclasses
import json
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from cnn import UserError
from cnn.cli.arguments import add_recipe, command, recipe_from_arguments
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint, ModelCard
from cnn.training import distributed, logging
from cnn.training.finalize import finalize
from cnn.training.resume import load_state, save_state
from cnn.training.state import Progress, TrainState, start


def add(commands) -> None:
    """Add the command."""
    train = command(commands, "train", _train, "train a network and keep it as a checkpoint")
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
    train.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves, as PNG or SVG")
    train.add_argument("--log-dir", type=Path, metavar="DIR", help="log the run for TensorBoard")
    add_recipe(train)


def _train(arguments: argparse.Namespace) -> None:
    if arguments.output.is_dir():
        raise UserError(f"{str(arguments.output)!r} is a folder. Name a file to write.")
    with distributed.process_group():
        with distributed.rank_zero_first():
            run = _begun(arguments)
        distributed.shard(run)
        with _interruptible() as interrupted:
            if not distributed.rank():
                _lead(arguments, run, interrupted)
            elif fault := _followed(run, [], interrupted):
                raise fault


def _lead(arguments: argparse.Namespace, run: TrainState, interrupted: list[int]) -> None:
    """Follow the run, report, and keep what was learnt, whatever ended it."""
    checkpoints.check_writable(arguments.output, run.answering)
    if arguments.resume:
        save_state(run, arguments.resume)
    fault = _followed(run, _readers(arguments, run), interrupted)
    if fault and not run.step:
        raise fault
    checkpoint = finalize(run)
    _keep(arguments.output, checkpoint)
    if fault:
        raise UserError(f"{fault} What was learnt until step {run.step} is in {arguments.output}.")
    _print_result(arguments, checkpoint.card)


def _begun(arguments: argparse.Namespace) -> TrainState:
    origin = checkpoints.load(arguments.continue_from) if arguments.continue_from else None
    run = start(recipe_from_arguments(arguments, origin), origin=origin)
    if arguments.resume and arguments.resume.exists():
        load_state(run, arguments.resume)
    return run


def _readers(arguments: argparse.Namespace, run: TrainState) -> list[Callable[[Progress], None]]:
    """All that is done with each report."""
    readers = [_print_progress if arguments.json else _draw_progress(run.steps)]
    if arguments.log_dir:
        readers.append(logging.tensorboard_logger(arguments.log_dir))
    reports = [Progress(**epoch) for epoch in run.history]

    def write_down() -> None:
        logging.write_table(arguments.output.with_suffix(".csv"), reports)
        if arguments.plot:
            logging.plot(arguments.plot, reports)

    def note(progress: Progress) -> None:
        reports.append(progress)
        if progress.validation_loss is not None:
            write_down()

    def put_aside(progress: Progress) -> None:
        if progress.validation_loss is not None:
            save_state(run, arguments.resume)

    write_down()
    return [*readers, note, *([put_aside] if arguments.resume else [])]


def _followed(
    run: TrainState, readers: list[Callable[[Progress], None]], interrupted: list[int]
) -> UserError | None:
    """Follow a run to its end, or to the fault that ends it and that this returns."""
    try:
        with distributed.report_lost_ranks():
            for progress in distributed.fit(run):
                for read in readers:
                    read(progress)
                if interrupted:
                    break
    except UserError as fault:
        return fault
    return None


def _keep(path: Path, checkpoint: Checkpoint) -> None:
    """Save it, or somewhere else where it cannot be saved any more, with a word about it."""
    try:
        checkpoints.save(path, checkpoint)
    except UserError as fault:
        refuge = Path(tempfile.mkdtemp(prefix="cnn-")) / path.name
        checkpoints.save(refuge, checkpoint)
        raise UserError(f"{fault} Until then the network is in {str(refuge)!r}.") from fault


def _print_result(arguments: argparse.Namespace, card: ModelCard) -> None:
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
    """A list that is no longer empty once the run was told to end; told twice, it stops at once.

    By Ctrl-C, or by whoever stops the process in an orderly way: torchrun where another died.
    """
    told: list[int] = []

    def stop(number, _frame):
        if told:
            raise KeyboardInterrupt
        told.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
