"""The command line: `python -m cnn train | evaluate | predict | models`."""

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL.Image import Image
from tqdm import tqdm

from cnn import (
    UserError,
    charts,
    checkpoints,
    datasets,
    evaluation,
    explanation,
    hardware,
    prediction,
    preprocessing,
    recipes,
    resumption,
    training,
    visualization,
)
from cnn.checkpoints import Card, Checkpoint
from cnn.training import PRESETS, Progress, Recipe

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def main(words: list[str] | None = None) -> int:
    """Do what the words ask; 0 when done, 2 with a sentence on stderr when a person can mend it."""
    arguments = _parser().parse_args(words)
    torch.set_num_threads(hardware.cores())
    try:
        arguments.command(arguments)
    except UserError as fault:
        print(fault, file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cnn", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--json", action="store_true", help="print one JSON object a line")
        added.set_defaults(command=action)
        return added

    train = command("train", _train, "train a network and keep it as a checkpoint")
    train.add_argument("--preset", help=f"a recipe to start from: {', '.join(PRESETS)}")
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
    _add_recipe(train)
    evaluate = command("evaluate", _evaluate, "measure checkpoints on their test sets")
    evaluate.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    predict = command("predict", _predict, "ask the digit and the photo network about pictures")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument(
        "--figures", type=Path, metavar="DIR", help="also write what is inside as pictures"
    )
    models = command("models", _models, "list the checkpoints from their Cards")
    models.add_argument("--markdown", action="store_true", help="print the README's table")
    for added in (predict, models):
        added.add_argument(
            "--checkpoints", type=Path, default=CHECKPOINTS, metavar="DIR", help="where they lie"
        )
    return parser


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    types_of = typing.get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        flag = "--" + field.name.replace("_", "-")
        choices = ": " + ", ".join(field.metadata["choices"]) if field.metadata["choices"] else ""
        text = f"{field.metadata['help']}{choices} (default: {field.default})".replace("%", "%%")
        kind = types_of[field.name]
        if isinstance(kind, types.UnionType):
            kind = kind.__args__[0]
        if kind is bool:
            options = {"action": argparse.BooleanOptionalAction}
        elif typing.get_origin(kind) is tuple:
            options = {"nargs": "*", "metavar": "NAME"}
        else:
            options = {"type": kind, "metavar": kind.__name__.upper()}
        parser.add_argument(flag, default=argparse.SUPPRESS, help=text, **options)


def _recipe(arguments: argparse.Namespace, origin: Checkpoint | None = None) -> Recipe:
    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Recipe)
        if hasattr(arguments, field.name)
    }
    if "augmentation" in given:
        given["augmentation"] = tuple(given["augmentation"])
    if arguments.preset:
        start = recipes.preset(arguments.preset)
    elif origin:
        start = recipes.continued(recipes.remembered(origin.card.recipe))
    else:
        start = Recipe()
    return dataclasses.replace(start, **given)


def _train(arguments: argparse.Namespace) -> None:
    if arguments.output.is_dir():
        raise UserError(f"{str(arguments.output)!r} is a folder. Name a file to write.")
    origin = checkpoints.load(arguments.continue_from) if arguments.continue_from else None
    run = training.start(_recipe(arguments, origin), origin=origin)
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


def _evaluate(arguments: argparse.Namespace) -> None:
    for path in arguments.checkpoints:
        found = _measured(path)
        if arguments.json:
            print(json.dumps(found), flush=True)
            continue
        print(f"{path}: {found['accuracy']:.2%}, loss {found['loss']:.4f}", end="")
        averaged = found["accuracy_averaged"]
        print(f", averaged over flips and shifts {averaged:.2%}" if averaged else "")
        for label, share in found["per_class"].items():
            print(f"  {label:12} {share:.2%}", flush=True)


def _measured(path: Path) -> dict:
    network, card = checkpoints.load(path)
    dataset = datasets.named(card.dataset)
    test = datasets.load(dataset).test
    network.to(hardware.device())
    answers = evaluation.logits(network, test.images)
    measures = evaluation.measure(answers, test.labels)
    return {
        "checkpoint": str(path),
        "dataset": card.dataset,
        "model": card.model,
        "parameters": card.parameters,
        "bytes": path.stat().st_size,
        "accuracy": measures.accuracy,
        "accuracy_averaged": evaluation.averaged_accuracy(network, test, dataset),
        "loss": measures.loss,
        "ece": evaluation.measure(answers, test.labels, card.temperature).ece,
        "per_class": dict(zip(card.classes, measures.per_class, strict=True)),
        "default": card.default,
    }


def _predict(arguments: argparse.Namespace) -> None:
    asked = [
        checkpoints.default(arguments.checkpoints, dataset.name)
        for dataset in (datasets.MNIST, datasets.CIFAR10)
    ]
    for path in arguments.images:
        photo = preprocessing.open_photo(path)
        for checkpoint in asked:
            _answer(arguments, path, photo, checkpoint)


def _answer(arguments: argparse.Namespace, path: Path, photo, checkpoint: Checkpoint) -> None:
    dataset = datasets.named(checkpoint.card.dataset)
    if dataset.channels == 1:
        image = preprocessing.digit_from_photo(photo)
    else:
        image = preprocessing.views_from_photo(photo, dataset)
    answer = prediction.predict(checkpoint, image)
    if arguments.figures:
        name = f"{path.stem}-{dataset.name}"
        pictures = _figures(arguments, checkpoint, image, answer)
        visualization.write_figures(arguments.figures, name, pictures)
    if arguments.json:
        line = {
            "image": str(path),
            "dataset": dataset.name,
            "model": checkpoint.card.model,
            "label": answer.label,
            "probability": answer.probability,
            "verdict": answer.verdict,
            "probabilities": dict(zip(answer.classes, answer.probabilities, strict=True)),
        }
        print(json.dumps(line), flush=True)
    else:
        name = f"{path.name}: " if len(arguments.images) > 1 else ""
        found = f"{answer.label} ({answer.probability * 100:.1f} %)"
        said = "nothing to see" if answer.verdict == "empty" else found
        print(f"{name}{dataset.title} -> {said}")


def _figures(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint,
    image: torch.Tensor,
    answer: prediction.Prediction,
) -> dict[str, Image]:
    network, card = checkpoint
    first, label = image[:1], answer.classes.index(answer.label)
    counted = {
        f"attribution-{method}": explanation.attribute(network, first, method, label)
        for method in explanation.METHODS
    }
    networks = checkpoints.Collection(arguments.checkpoints).all(card.dataset)
    opinions = prediction.opinions(networks, image)
    return (
        visualization.figures(network, first)
        | {name: visualization.overlay(first[0], found, 0.8) for name, found in counted.items()}
        | {"probabilities": charts.heat_map(opinions, card.classes)}
    )


def _models(arguments: argparse.Namespace) -> None:
    cards = [
        (path, checkpoints.read_card(path)) for path in checkpoints.available(arguments.checkpoints)
    ]
    if arguments.json:
        for path, card in cards:
            print(json.dumps({"checkpoint": str(path)} | dataclasses.asdict(card)))
        return
    rows = [_row(path, card) for path, card in cards]
    if arguments.markdown:
        print("|".join(["", *_COLUMNS, ""]))
        print("|---|---|" + "---:|" * (len(_COLUMNS) - 2))
        print("\n".join("|".join(["", *row, ""]) for row in rows))
        return
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in (_COLUMNS, *rows):
        print("  ".join(map(str.ljust, row, widths)).rstrip())


_COLUMNS = (
    "checkpoint",
    "network",
    "parameters",
    "test accuracy",
    "averaged",
    "its tutorial's claim",
    "calibration error",
    "seconds of training",
)


def _row(path: Path, card: Card) -> tuple[str, ...]:
    return (
        path.stem + (" (answers on the page)" if card.default else ""),
        card.model,
        f"{card.parameters:,}",
        f"{card.test_accuracy:.2%}",
        "" if card.test_accuracy_averaged is None else f"{card.test_accuracy_averaged:.2%}",
        "" if card.claim is None else f"{card.claim:.2%}",
        f"{card.ece:.2%}",
        f"{card.seconds:,.0f}",
    )


if __name__ == "__main__":
    sys.exit(main())
