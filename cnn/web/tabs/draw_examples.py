"""In the tab Draw: drawings that the visitor keeps with their class, for a network to learn."""

from collections.abc import Callable, Iterator

import gradio as gr
import numpy as np

from cnn import UserError
from cnn.data import datasets, strokes
from cnn.data.datasets import MNIST
from cnn.jobs.job import TrainingJob
from cnn.jobs.queue import JobQueue
from cnn.jobs.session import Snapshot
from cnn.training import finetuning
from cnn.training.finetuning import Comparison
from cnn.web import components
from cnn.web.components import HIDDEN_ENDPOINT
from cnn.web.session import MAX_EXAMPLES, VisitorSession
from cnn.web.subject import Strokes

DRAWING_KEPT = "() => dispatchEvent(new Event('drawingkept'))"
NAME = "mine (my drawings)"


def view(session: gr.State, pad: gr.HTML, keeper: gr.HTML, queue: JobQueue) -> None:
    """Add the row of digits that keeps the drawing on the pad, and what was kept so far."""
    with gr.Column(elem_classes="teaching"):
        digits = gr.HTML(
            html_template=components.asset("example_digits.html"),
            js_on_load=components.asset("examples.js"),
            apply_default_css=False,
            classes=MNIST.classes,
        )
        kept = components.pickable(elem_id="kept-examples")
        learn = gr.Button("Learn from my drawings", visible=False, elem_classes="learn")
        status = gr.HTML(apply_default_css=False)
    shown = [kept, learn]

    def show(session: VisitorSession) -> tuple[str, dict]:
        return _kept(session), gr.update(visible=bool(session.examples), interactive=True)

    def keep(drawing: Strokes, session: VisitorSession, event: gr.EventData) -> tuple:
        with components.toast():
            session.keep_example(*_example(drawing, components.event_field(event, "label")))
        return show(session)

    def remove(session: VisitorSession, event: gr.EventData) -> tuple:
        number = components.event_field(event, "value")
        if number == "all":
            session.examples.clear()
        else:
            session.examples.pop(_number(number), None)
        return show(session)

    options = {"queue": False, **HIDDEN_ENDPOINT}
    added = digits.keep(keep, [pad, session], shown, **HIDDEN_ENDPOINT)
    added.success(None, js=DRAWING_KEPT, **HIDDEN_ENDPOINT)
    kept.select(remove, session, shown, **options)
    keeper.restore(show, session, shown, **HIDDEN_ENDPOINT)
    _wire_learning(learn, status, session, queue, show, shown)


def _wire_learning(
    learn: gr.Button,
    status: gr.HTML,
    session: gr.State,
    queue: JobQueue,
    show: Callable[[VisitorSession], tuple],
    shown: list,
) -> None:
    def run(session: VisitorSession) -> Iterator[str]:
        with components.toast():
            yield from _learn(session, queue)

    pressed = learn.click(
        lambda: gr.update(interactive=False),
        None,
        learn,
        queue=False,
        js=components.TRAINING_BEGUN,
        **HIDDEN_ENDPOINT,
    )
    learned = pressed.then(run, session, status, concurrency_limit=None, **HIDDEN_ENDPOINT)
    for end in (learned.success, learned.failure):
        end(show, session, shown, js=components.TRAINING_ENDED, **HIDDEN_ENDPOINT)
    learned.success(None, js=components.NETWORK_CHOSEN, **HIDDEN_ENDPOINT)


def _learn(session: VisitorSession, queue: JobQueue) -> Iterator[str]:
    """Fine-tune the chosen network on the kept drawings, show how it goes, choose the result."""
    examples = list(session.examples.values())
    if not examples:
        raise UserError("No drawing is kept yet. Draw a digit, then press the right one.")
    yield _status("Drawing your digits with other pens …")
    drawings = [[np.array(stroke) for stroke in strokes.decode(e.drawing)] for e in examples]
    labels = [example.label for example in examples]
    before = session.checkpoint(MNIST.name)
    job = TrainingJob(
        finetuning.recipe(before.card),
        init=before,
        examples=finetuning.draw_examples(drawings, labels),
    )
    job.name = NAME
    session.start(job)
    started = False
    for snapshot in queue.stream(job):
        started = started or snapshot is not None
        if snapshot:
            yield _progress(snapshot)
        elif not started and (position := queue.position(job)):
            yield _status(f"Waiting for {position} other run{'s' * (position > 1)} …")
    after = finetuning.keep_calibration(job.result.checkpoint, before)
    session.keep(job.name, after)
    session.choose(job.name)
    comparison = finetuning.compare(before, after, drawings, labels, job.result.initial_accuracy)
    yield _result(comparison, job)


def _progress(snapshot: Snapshot) -> str:
    if progress := snapshot.progress:
        return _status(f"Step {progress.step} of {progress.steps} …", progress.step, progress.steps)
    return _status("Testing on the test images …", 1, 1)


def _status(message: str, step: int = 0, steps: int = 1) -> str:
    return components.render("examples_status.html", message=message, step=step, steps=steps)


def _example(drawing: Strokes, label: object) -> tuple[Strokes, int]:
    if not drawing:
        raise UserError("There is no drawing. Draw a digit first.")
    if label not in MNIST.classes:
        raise UserError(f"{label!r} is no digit. Choose one of: {', '.join(MNIST.classes)}.")
    return drawing, MNIST.classes.index(label)


def _number(value: object) -> int | None:
    return int(value) if str(value).isdecimal() else None


def _kept(session: VisitorSession) -> str:
    """Show the kept drawings as lines, each with its class and what removes it."""
    return components.render(
        "examples.html",
        limit=MAX_EXAMPLES,
        examples=[
            {
                "number": number,
                "label": example.label,
                "lines": [
                    " ".join(f"{100 * x:.0f},{100 * y:.0f}" for x, y in stroke)
                    for stroke in strokes.decode(example.drawing)
                ],
            }
            for number, example in session.examples.items()
        ],
    )


def _result(comparison: Comparison, job: TrainingJob) -> str:
    return components.render(
        "examples_result.html",
        name=job.name,
        comparison=comparison,
        dataset=datasets.get_dataset(job.recipe.dataset).title,
        seconds=job.metrics[-1]["seconds"],
    )
