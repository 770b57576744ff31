"""The tab Train: a network learns from nothing while one watches."""

import asyncio
import dataclasses
import functools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import gradio as gr
from gradio.events import Dependency

from cnn import UserError, settings
from cnn.data import datasets
from cnn.jobs.job import TrainingJob
from cnn.jobs.queue import JobQueue
from cnn.jobs.session import Snapshot, TrainingResult, describe
from cnn.jobs.worker import train_remotely
from cnn.models import checkpoints
from cnn.plots import charts
from cnn.training import presets
from cnn.training.config import Recipe, for_finetuning
from cnn.training.presets import PRESETS
from cnn.web import components
from cnn.web.session import VisitorSession
from cnn.web.tabs import train_results

FIRST = "mnist-99"
CHOICES = (
    *("dataset", "model", "epochs", "batch_size", "optimizer", "learning_rate", "momentum"),
    *("schedule", "augmentation", "label_smoothing", "dropout", "seed"),
)
MUSEUM = (
    "Before its first step the network guesses, one time in ten rightly; each step shows it a "
    "few hundred pictures and moves every weight a little. Watch its first filters turn from noise "
    "into edges, then start again with ten times the learning rate."
)
REVIEW = (
    "On validation pictures, which it did not learn from. Rows are what a picture shows, "
    "columns what the network takes it for; the brighter a cell beside the diagonal, the more "
    "often it errs so."
)
LESSONS = [PRESETS[name].recipe for name in train_results.LESSONS]
USE = {"draw": "Draw against it", "photo": "Show it a photograph"}
COMPARE = (
    "Your last runs laid over one another, as they did on the pictures they learnt from. Change "
    "one thing at a time, and look by seconds too: what takes more steps may still be done sooner."
)


def tab(visit: gr.State, tabs: gr.Tabs) -> None:
    """Add the tab; a network that has learnt becomes one of the visitor's own."""
    room = training_queue()
    with gr.Tab("Train", id="train", elem_classes="train") as shown:
        chosen = gr.State(FIRST)
        with gr.Row():
            with gr.Column(scale=3):
                cards = _cards()
            with gr.Column(scale=2):
                with gr.Row():
                    start = gr.Button("Start", variant="primary")
                    stop = gr.Button("Stop and keep")
        with gr.Accordion("Every choice", open=False), gr.Row():
            widgets = [_widget(name, PRESETS[FIRST].recipe) for name in CHOICES]
        board = Dashboard()
        compared = Comparison()
    begun = [
        _learning(start, [visit, chosen, *widgets], board, room),
        _continuing(visit, board, room),
    ]
    _preset_picker(cards, chosen, widgets, [shown.select, *(one.then for one in begun)], room)
    for one in begun:
        one.success(board.ends, visit, board.after, **components.HIDDEN_ENDPOINT)
    _comparing(compared, visit, begun)
    _keeping(stop, visit, board, tabs)


@functools.cache
def training_queue() -> JobQueue:
    """Where all lessons of this process are held."""
    return JobQueue(settings.max_runs(), _lent())


def prepare() -> None:
    """Measure the lessons before anybody asks; by then their process and pictures are there."""
    training_queue().estimate_durations(LESSONS)


def _lent() -> Callable | None:
    """A host's way to hold lessons on a shared GPU, where the `spaces` package is there."""
    try:
        import spaces
    except ImportError:
        return None
    return spaces.GPU(duration=round(settings.train_seconds()) + 30)(train_remotely)


def _cards() -> gr.HTML:
    return gr.HTML(
        train_results.lessons(FIRST, {}, settings.train_seconds()),
        js_on_load="""let chosen;
        element.addEventListener("change", (event) =>
            trigger("choose", { lesson: (chosen = event.target.value) }));
        watch("value", () => {
            if (chosen) element.querySelector(`[value="${chosen}"]`).checked = true;
        });""",
        apply_default_css=False,
    )


def _widget(name: str, recipe: Recipe) -> gr.components.Component:
    field = next(field for field in dataclasses.fields(Recipe) if field.name == name)
    choices, value = field.metadata["choices"], getattr(recipe, name)
    told = {"label": name.replace("_", " "), "info": field.metadata["help"], "min_width": 230}
    if isinstance(value, tuple):
        return gr.CheckboxGroup(list(choices), value=list(value), **told)
    if choices:
        return gr.Dropdown(list(choices), value=value, **told)
    low, high = field.metadata["range"]
    return gr.Number(value, placeholder="its own", minimum=low, maximum=high, **told)


def _preset_picker(
    cards: gr.HTML, chosen: gr.State, widgets: list, idle: list[Callable], room: JobQueue
) -> None:
    """Fill the widgets from a lesson, and measure the lessons when there is time for it."""

    def choose(event: gr.EventData) -> list:
        with components.toast():
            recipe = presets.preset(str(event.lesson)).recipe
        values = [getattr(recipe, name) for name in CHOICES]
        return [event.lesson, *(list(v) if isinstance(v, tuple) else v for v in values)]

    async def estimate(chosen: str) -> AsyncIterator[str]:
        measuring = True
        while measuring:
            measuring = room.estimate_durations(LESSONS)
            yield train_results.lessons(chosen, room.estimates, settings.train_seconds())
            await asyncio.sleep(measuring)

    cards.choose(choose, None, [chosen, *widgets], **components.HIDDEN_ENDPOINT)
    for event in idle:
        event(estimate, chosen, cards, concurrency_limit=None, **components.HIDDEN_ENDPOINT)


def _recipe(preset: str, values: tuple) -> Recipe:
    given = dict(zip(CHOICES, values, strict=True))
    given["augmentation"] = tuple(given["augmentation"])
    for name, value in given.items():
        if value is None and name != "dropout":
            raise UserError(f"“{name.replace('_', ' ')}” is empty. Give a number.")
    for name in ("batch_size", "seed"):
        given[name] = int(given[name])
    return dataclasses.replace(PRESETS[preset].recipe, **given)


def _place(outcome: TrainingResult) -> str:
    """The tab in which a network can be tried."""
    return "draw" if outcome.checkpoint.card.classes == datasets.DIGITS else "photo"


class Dashboard:
    """All that a lesson is shown on. What each method gives is for the components named in it."""

    def __init__(self):
        self.status = gr.HTML(
            train_results.status("Choose a lesson and press Start."), apply_default_css=False
        )
        with gr.Row():
            with gr.Column(scale=3):
                self.charts = {
                    measure: _chart(train_results.curve([], measure), measure)
                    for measure in train_results.MEASURES
                }
            with gr.Column(scale=2):
                self.filters = components.picture(
                    "The first filters, as they are now", "sheet still"
                )
                self.opinions = gr.HTML(apply_default_css=False)
        gr.HTML(f"<p class='museum'>{MUSEUM}</p>", apply_default_css=False)
        with gr.Column(visible=False) as self.ending:
            self._end()
        # gradio spends half a millisecond on each part of an event that is not to change
        self.meanwhile = [self.status, *self.charts.values(), self.filters, self.opinions]
        self.meanwhile += [self.ending]
        self.after = [self.ending, self.use, self.confusion, self.classes, self.mistakes]
        self.after += [self.network, self.curve]

    def _end(self) -> None:
        with gr.Row(elem_classes="afterwards"):
            self.use = gr.Button(variant="primary", min_width=180)
            self.more = gr.Button("Continue", min_width=100)
            self.epochs = gr.Number(
                1, label="for more epochs", minimum=0.1, maximum=100, min_width=110
            )
            self.discard = gr.Button("Discard", min_width=100)
            self.network = gr.DownloadButton("Download the network", min_width=180)
            self.curve = gr.DownloadButton("Download the curve", min_width=180)
        components.heading("What it takes for what", REVIEW)
        with gr.Row(elem_classes="counted"):
            self.confusion = components.picture("The confusion matrix", "matrix still")
            with gr.Column():
                self.classes = gr.HTML(apply_default_css=False)
        components.heading("Surest mistakes", "Of these it was most sure, and wrong.")
        self.mistakes = gr.HTML(apply_default_css=False)

    def says(self, words: str) -> dict:
        return {self.status: train_results.status(words)}

    def shows(self, course: TrainingJob, told: Snapshot) -> dict:
        if told.loading is not None:
            title = datasets.get_dataset(course.recipe.dataset).title
            return {self.status: train_results.loading(title, told.loading)}
        views = {
            chart: train_results.curve(course.metrics, name) for name, chart in self.charts.items()
        }
        if told.progress:
            views |= self.says(describe(told.progress))
        if told.filters:
            classes = datasets.get_dataset(course.recipe.dataset).classes
            views |= {
                self.filters: told.filters,
                self.opinions: train_results.opinions(told.samples, classes),
            }
        return views

    def begins(self) -> dict:
        return {self.ending: gr.update(visible=False), self.status: train_results.waiting(0, 0)}

    def ends(self, visit: VisitorSession) -> dict:
        outcome = visit.last().result
        classes = outcome.checkpoint.card.classes
        folder = Path(tempfile.mkdtemp(prefix="cnn-", dir=gr.utils.get_upload_folder()))
        name = f"{outcome.checkpoint.card.dataset}-{outcome.checkpoint.card.model}"
        network = folder / f"{name}{checkpoints.SUFFIX}"
        checkpoints.save(network, outcome.checkpoint)
        return {
            self.ending: gr.update(visible=True),
            self.use: USE[_place(outcome)],
            self.confusion: charts.confusion(outcome.confusion, classes),
            self.classes: components.by_class(classes, outcome.per_class),
            self.mistakes: train_results.mistakes(outcome.mistakes, classes),
            self.network: str(network),
            self.curve: str(train_results.write_curve(folder / f"{name}.csv", visit.last())),
        }


def _chart(value: str, kind: str = "") -> gr.HTML:
    """A place for what `report` says of curves: one canvas, drawn anew with each value."""
    return gr.HTML(
        value,
        html_template="<canvas role='img'></canvas>"
        "<a class='saved' download='curve.png' href='#'>save as PNG</a>",
        js_on_load=components.asset("curves.js"),
        elem_classes=f"curves {kind}",
        apply_default_css=False,
    )


class Comparison:
    """The visitor's last runs, side by side."""

    def __init__(self):
        with gr.Column(visible=False) as self.whole:
            components.heading("Compare", COMPARE)
            choices = [("by step", "step"), ("by second", "second")]
            self.by = gr.Radio(choices, value="step", label="Compare", container=False)
            with gr.Row(elem_classes="pair"):
                self.charts = {
                    measure: _chart(train_results.together([], measure, "step"))
                    for measure in ("loss", "accuracy")
                }
            self.table = gr.HTML(apply_default_css=False)
        self.all = [self.whole, *self.charts.values(), self.table]

    def shows(self, visit: VisitorSession, by: str) -> dict:
        views = {
            chart: train_results.together(visit.courses, name, by)
            for name, chart in self.charts.items()
        }
        views[self.whole] = gr.update(visible=len(visit.courses) > 1)
        return views | {
            self.table: train_results.differences(visit.courses) if visit.courses else ""
        }


def _follow(
    visit: VisitorSession, course: TrainingJob, board: Dashboard, room: JobQueue
) -> Iterator[dict]:
    """Begin a lesson, show it as it goes, and keep what was learnt as the visitor's own."""
    if visit.course and visit.course.running:
        raise UserError("You have a lesson under way already. Stop it, or wait for its end.")
    visit.course = course
    begun = False
    yield board.begins()
    try:
        for told in room.stream(course):
            begun = begun or told is not None
            if told:
                yield board.shows(course, told)
            elif begun:
                yield {board.status: gr.skip()}
            else:
                yield {board.status: train_results.waiting(room.position(course), room.eta(course))}
    except UserError as error:
        yield board.says(str(error))
        raise
    visit.finish(course)
    yield board.says(train_results.ending(course.result))


def _learning(start: gr.Button, asked: list, board: Dashboard, room: JobQueue) -> Dependency:
    def learn(visit: VisitorSession, preset: str, *values) -> Iterator[dict]:
        with components.toast():
            yield from _follow(visit, TrainingJob(_recipe(preset, values)), board, room)

    return start.click(
        learn, asked, board.meanwhile, concurrency_limit=None, **components.HIDDEN_ENDPOINT
    )


def _continuing(visit: gr.State, board: Dashboard, room: JobQueue) -> Dependency:
    def go_on(visit: VisitorSession, epochs: float | None) -> Iterator[dict]:
        with components.toast():
            before = visit.last()
            recipe = for_finetuning(before.recipe)
            recipe = dataclasses.replace(recipe, epochs=epochs or 1)
            yield from _follow(visit, TrainingJob(recipe, before), board, room)

    asked = [visit, board.epochs]
    return board.more.click(
        go_on, asked, board.meanwhile, concurrency_limit=None, **components.HIDDEN_ENDPOINT
    )


def _comparing(compared: Comparison, visit: gr.State, begun: list[Dependency]) -> None:
    for event in (compared.by.input, *(one.success for one in begun)):
        event(compared.shows, [visit, compared.by], compared.all, **components.HIDDEN_ENDPOINT)


def _keeping(stop: gr.Button, visit: gr.State, board: Dashboard, tabs: gr.Tabs) -> None:
    def end(visit: VisitorSession) -> None:
        with components.toast():
            if not (visit.course and visit.course.running):
                raise UserError("Nothing is being learnt. Press Start first.")
            visit.course.stop()

    def use(visit: VisitorSession) -> dict:
        with components.toast():
            visit.choose(visit.last().name)
        return gr.Tabs(selected=_place(visit.last().result))

    def discard(visit: VisitorSession) -> dict:
        with components.toast():
            visit.discard(visit.last().name)
        return {board.ending: gr.update(visible=False)} | board.says("Discarded.")

    stop.click(end, visit, concurrency_limit=None, **components.HIDDEN_ENDPOINT)
    board.use.click(use, visit, tabs, **components.HIDDEN_ENDPOINT)
    board.discard.click(discard, visit, [board.ending, board.status], **components.HIDDEN_ENDPOINT)
