"""Trains a network and saves it as a checkpoint, with a table of the run beside it.

examples:
  python -m cnn train --preset cifar10-78 --output photos.safetensors --plot curves.png
  python -m cnn train --model two-conv --epochs 3 --augmentation affine --output two.safetensors
"""

import argparse
import contextlib
import math
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from cnn import UserError
from cnn.cli import arguments as common
from cnn.files import check_writable
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint
from cnn.training import distributed, logging
from cnn.training.finalize import finalize
from cnn.training.resume import load_state, save_state
from cnn.training.state import Progress, TrainState, start

EVALUATING = "evaluating on the test set"
INTERRUPTED = 130  # exit code, as shells give it after Ctrl-C

Reader = Callable[[Progress], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="checkpoint to write")
    common.add_force(parser)
    common.add_json(parser)
    common.add_hardware(parser)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--init-from",
        type=Path,
        metavar="CHECKPOINT",
        help="start from its weights; by default with its recipe at a fifth of the learning rate",
    )
    run.add_argument(
        "--state", type=Path, metavar="FILE", help="save the training state here after each epoch"
    )
    run.add_argument("--resume", action="store_true", help="continue from the file of --state")
    run.add_argument(
        "--checkpoint-every",
        type=_positive,
        metavar="N",
        help="save a checkpoint every N epochs too, as OUTPUT-epoch-N.safetensors",
    )
    run.add_argument("--plot", type=Path, metavar="FILE", help="plot the curves, as PNG or SVG")
    run.add_argument("--tensorboard", type=Path, metavar="DIR", help="log the run for TensorBoard")
    card = parser.add_argument_group("model card")
    card.add_argument(
        "--reference-accuracy", type=_fraction, metavar="X", help="accuracy that the source reports"
    )
    card.add_argument(
        "--make-default",
        action=argparse.BooleanOptionalAction,
        help="use this network for its data set by default",
    )
    common.add_recipe(parser)


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Train, on one process or on several, and return the exit code."""
    if arguments.print_config:
        init = checkpoints.load(arguments.init_from) if arguments.init_from else None
        common.print_recipe(common.recipe_from_arguments(arguments, init))
        return 0
    _check_paths(arguments)
    with distributed.process_group():
        with distributed.rank_zero_first():
            state = _start(arguments)
        distributed.shard(state)
        with _interruptible() as signals:
            if not distributed.rank():
                _lead(arguments, state, signals)
            elif error := _follow(state, [], signals):
                raise error
    return INTERRUPTED if signals else 0


def _check_paths(arguments: argparse.Namespace) -> None:
    if not arguments.output:
        raise UserError("There is no file to write the checkpoint to. Name one with --output FILE.")
    if arguments.resume and not arguments.state:
        raise UserError("--resume needs the file to continue from. Name it with --state FILE.")
    if distributed.rank():
        return
    written = [arguments.output]
    if not arguments.resume:
        written += [_table_path(arguments.output), arguments.plot, arguments.state]
    common.refuse_existing(written, arguments.force)


def _table_path(output: Path) -> Path:
    """Return where the table of a run lies: beside its checkpoint, and never in its place."""
    return output.with_name(f"{_stem(output)}.csv")


def _epoch_path(output: Path, epoch: int) -> Path:
    """Return where the checkpoint of an epoch lies, beside the one of the whole run."""
    return output.with_name(f"{_stem(output)}-epoch-{epoch}{checkpoints.SUFFIX}")


def _stem(output: Path) -> str:
    return output.stem if output.suffix == checkpoints.SUFFIX else output.name


def _start(arguments: argparse.Namespace) -> TrainState:
    init = checkpoints.load(arguments.init_from) if arguments.init_from else None
    recipe = common.recipe_from_arguments(arguments, init)
    device = common.device_from_arguments(arguments)
    precision = common.precision_from_arguments(arguments, device)
    state = start(recipe, device=device, precision=precision, init=init)
    if arguments.resume:
        load_state(state, arguments.state)
    return state


def _lead(arguments: argparse.Namespace, state: TrainState, signals: list[int]) -> None:
    """Train, report, and keep what was learned, whatever ended the run."""
    checkpoints.check_writable(arguments.output, state.network)
    for path, kind in ((arguments.plot, "plot"), (arguments.state, "training state")):
        if path:
            check_writable(path, kind, size=1)
    if every := arguments.checkpoint_every:
        finished, last = state.step // state.steps_per_epoch, state.steps / state.steps_per_epoch
        epochs = (epoch for epoch in range(finished + 1, math.ceil(last)) if epoch % every == 0)
        paths = [_epoch_path(arguments.output, epoch) for epoch in epochs]
        common.refuse_existing(paths, arguments.force)
    if arguments.resume and not arguments.json:
        print(f"continuing from step {state.step:,} of {state.steps:,}", flush=True)
    error = _follow(state, _readers(arguments, state), signals)
    if error and not state.step:
        raise error
    preset = common.preset_from_arguments(arguments)
    reference, default = arguments.reference_accuracy, arguments.make_default
    if reference is None and preset:
        reference = preset.reference_accuracy
    if default is None:
        default = bool(preset and preset.make_default)
    with _evaluation_bar(arguments) as report:
        checkpoint = finalize(state, reference, default, report)
    _save(arguments.output, checkpoint)
    if error:
        raise UserError(
            f"{error} What was learned until step {state.step} is in {arguments.output}."
        )
    _print_result(arguments, checkpoint)


def _follow(state: TrainState, readers: list[Reader], signals: list[int]) -> UserError | None:
    """Train to the end, to a signal, or to an error, which is returned."""
    try:
        with distributed.report_lost_ranks():
            for progress in distributed.fit(state):
                for read in readers:
                    read(progress)
                if signals:
                    break
    except UserError as error:
        return error
    return None


def _readers(arguments: argparse.Namespace, state: TrainState) -> list[Reader]:
    """List what is done with each report."""
    if arguments.json:
        readers: list[Reader] = [_print_progress]
    elif sys.stderr.isatty():
        readers = [_progress_bar(state.steps)]
    else:
        readers = [_print_epoch]
    if arguments.tensorboard:
        readers.append(logging.tensorboard_logger(arguments.tensorboard))
    reports = [Progress(**row) for row in state.history]

    def write_logs() -> None:
        logging.write_table(_table_path(arguments.output), reports)
        if arguments.plot:
            logging.plot(arguments.plot, reports)

    def log(progress: Progress) -> None:
        reports.append(progress)
        if progress.validation_loss is not None:
            write_logs()

    def save(progress: Progress) -> None:
        if progress.validation_loss is not None:
            save_state(state, arguments.state)

    def save_epoch(progress: Progress) -> None:
        is_due = progress.validation_loss is not None and progress.step < progress.steps
        if is_due and progress.epoch % arguments.checkpoint_every == 0:
            path = _epoch_path(arguments.output, progress.epoch)
            checkpoints.save(path, finalize(state))

    write_logs()
    readers += [log, *([save] if arguments.state else [])]
    return [*readers, *([save_epoch] if arguments.checkpoint_every else [])]


@contextlib.contextmanager
def _evaluation_bar(
    arguments: argparse.Namespace,
) -> Iterator[Callable[[float], object] | None]:
    """Show how far the evaluation is: a bar on a terminal, elsewhere a line at its beginning."""
    if arguments.json:
        yield None
    elif sys.stderr.isatty():
        shape = "{desc}: {percentage:.0f}%|{bar}|"
        with tqdm(total=1, desc=EVALUATING, leave=False, bar_format=shape, mininterval=0) as bar:
            yield lambda fraction: bar.update(fraction - bar.n)
    else:
        print(EVALUATING, flush=True)
        yield None


def _save(path: Path, checkpoint: Checkpoint) -> None:
    """Save the checkpoint, in a temporary folder where its place is no longer writable."""
    try:
        checkpoints.save(path, checkpoint)
    except UserError as error:
        refuge = Path(tempfile.mkdtemp(prefix="cnn-")) / path.name
        checkpoints.save(refuge, checkpoint)
        raise UserError(f"{error} Until then the network is in {str(refuge)!r}.") from error


def _print_result(arguments: argparse.Namespace, checkpoint: Checkpoint) -> None:
    card = checkpoint.card
    if arguments.json:
        common.print_json(
            {
                "event": "done",
                "checkpoint": str(arguments.output),
                "seconds": card.train_seconds,
                "interrupted": card.interrupted,
                "test_accuracy": card.test_accuracy,
                "test_accuracy_tta": card.test_accuracy_tta,
                "test_loss": card.test_loss,
            }
        )
        return
    start = "interrupted after" if card.interrupted else "trained for"
    print(
        f"{start} {card.train_seconds:.1f} s, test accuracy {card.test_accuracy:.2%}, "
        f"saved in {arguments.output}"
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list that receives the signals to end; a second one stops at once.

    They are Ctrl-C, and the one that ends processes in order: torchrun's where a rank died.
    """
    signals: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_progress(progress: Progress) -> None:
    common.print_json({"event": "progress"} | progress.row())


def _print_epoch(progress: Progress) -> None:
    if progress.validation_accuracy is not None:
        print(_describe_epoch(progress), flush=True)


def _describe_epoch(progress: Progress) -> str:
    return (
        f"epoch {progress.epoch}: {progress.seconds:.1f} s, "
        f"training {progress.train_accuracy:.2%} (loss {progress.train_loss:.4f}), "
        f"validation {progress.validation_accuracy:.2%} (loss {progress.validation_loss:.4f}), "
        f"{progress.images_per_second:,.0f} images per second"
    )


def _progress_bar(steps: int) -> Reader:
    bar = tqdm(total=steps, unit="step", leave=False)

    def report(progress: Progress) -> None:
        bar.update(progress.step - bar.n)
        bar.set_postfix(
            loss=f"{progress.train_loss:.3f}", accuracy=f"{progress.train_accuracy:.2%}"
        )
        if progress.validation_accuracy is not None:
            bar.write(_describe_epoch(progress))
        if progress.step == progress.steps:
            bar.close()

    return report
