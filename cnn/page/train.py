"""The tab Train: a network learns from nothing while one watches."""

import asyncio
import dataclasses
import functools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import gradio as gr
from gradio.events import Dependency

from cnn import UserError, charts, checkpoints, classroom, datasets, lesson, recipes
from cnn.classroom import Classroom, Course
from cnn.lesson import Outcome, Report
from cnn.page import parts
from cnn.page import train_report as report
from cnn.page.visit import Visit
from cnn.recipes import PRESETS, Recipe

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
LESSONS = [PRESETS[name] for name in report.LESSONS]
USE = {"draw": "Draw against it", "photo": "Show it a photograph"}
COMPARE = (
    "Your last runs laid over one another, as they did on the pictures they learnt from. Change "
    "one thing at a time, and look by seconds too: what takes more steps may still be done sooner."
)


def tab(visit: gr.State, tabs: gr.Tabs) -> None:
    """Add the tab; a network that has learnt becomes one of the visitor's own."""
    room = common_room()
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
            widgets = [_widget(name, PRESETS[FIRST]) for name in CHOICES]
        board = _Board()
        compared = _Compared()
    begun = [
        _learning(start, [visit, chosen, *widgets], board, room),
        _continuing(visit, board, room),
    ]
    _choosing(cards, chosen, widgets, [shown.select, *(one.then for one in begun)], room)
    for one in begun:
        one.success(board.ends, visit, board.after, **parts.QUIET)
    _comparing(compared, visit, begun)
    _keeping(stop, visit, board, tabs)


@functools.cache
def common_room() -> Classroom:
    """Where all lessons of this process are held."""
    return Classroom(classroom.seats(), _lent())


def prepare() -> None:
    """Measure the lessons before anybody asks; by then their process and pictures are there."""
    common_room().measure(LESSONS)


def _lent() -> Callable | None:
    """A host's way to hold lessons on a shared GPU, where the `spaces` package is there."""
    try:
        import spaces
    except ImportError:
        return None
    return spaces.GPU(duration=round(lesson.time_limit()) + 30)(classroom.abroad)


def _cards() -> gr.HTML:
    return gr.HTML(
        report.lessons(FIRST, {}, lesson.time_limit()),
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
    low, high = field.metadata["within"]
    return gr.Number(value, placeholder="its own", minimum=low, maximum=high, **told)


def _choosing(
    cards: gr.HTML, chosen: gr.State, widgets: list, idle: list[Callable], room: Classroom
) -> None:
    """Fill the widgets from a lesson, and measure the lessons when there is time for it."""

    def choose(event: gr.EventData) -> list:
        with parts.toast():
            recipe = recipes.preset(str(event.lesson))
        values = [getattr(recipe, name) for name in CHOICES]
        return [event.lesson, *(list(v) if isinstance(v, tuple) else v for v in values)]

    async def estimate(chosen: str) -> AsyncIterator[str]:
        measuring = True
        while measuring:
            measuring = room.measure(LESSONS)
            yield report.lessons(chosen, room.estimates, lesson.time_limit())
            await asyncio.sleep(measuring)

    cards.choose(choose, None, [chosen, *widgets], **parts.QUIET)
    for event in idle:
        event(estimate, chosen, cards, concurrency_limit=None, **parts.QUIET)


def _recipe(preset: str, values: tuple) -> Recipe:
    given = dict(zip(CHOICES, values, strict=True))
    given["augmentation"] = tuple(given["augmentation"])
    for name, value in given.items():
        if value is None and name != "dropout":
            raise UserError(f"“{name.replace('_', ' ')}” is empty. Give a number.")
    for name in ("batch_size", "seed"):
        given[name] = int(given[name])
    return dataclasses.replace(PRESETS[preset], **given)


def _place(outcome: Outcome) -> str:
    """The tab in which a network can be tried."""
    return "draw" if outcome.checkpoint.card.classes == datasets.DIGITS else "photo"


class _Board:
    """All that a lesson is shown on. What each method gives is for the components named in it."""

    def __init__(self):
        self.status = gr.HTML(
            report.status("Choose a lesson and press Start."), apply_default_css=False
        )
        with gr.Row():
            with gr.Column(scale=3):
                self.charts = {
                    measure: _chart(report.curve([], measure), measure)
                    for measure in report.MEASURES
                }
            with gr.Column(scale=2):
                self.filters = parts.picture("The first filters, as they are now", "sheet still")
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
        parts.heading("What it takes for what", REVIEW)
        with gr.Row(elem_classes="counted"):
            self.confusion = parts.picture("The confusion matrix", "matrix still")
            with gr.Column():
                self.classes = gr.HTML(apply_default_css=False)
        parts.heading("Surest mistakes", "Of these it was most sure, and wrong.")
        self.mistakes = gr.HTML(apply_default_css=False)

    def says(self, words: str) -> dict:
        return {self.status: report.status(words)}

    def shows(self, course: Course, told: Report) -> dict:
        if told.loading is not None:
            title = datasets.named(course.recipe.dataset).title
            return {self.status: report.loading(title, told.loading)}
        views = {chart: report.curve(course.curve, name) for name, chart in self.charts.items()}
        if told.progress:
            views |= self.says(lesson.describe(told.progress))
        if told.filters:
            classes = datasets.named(course.recipe.dataset).classes
            views |= {
                self.filters: told.filters,
                self.opinions: report.opinions(told.look, classes),
            }
        return views

    def begins(self) -> dict:
        return {self.ending: gr.update(visible=False), self.status: report.waiting(0, 0)}

    def ends(self, visit: Visit) -> dict:
        outcome = visit.last().outcome
        classes = outcome.checkpoint.card.classes
        folder = Path(tempfile.mkdtemp(prefix="cnn-", dir=gr.utils.get_upload_folder()))
        name = f"{outcome.checkpoint.card.dataset}-{outcome.checkpoint.card.model}"
        network = folder / f"{name}{checkpoints.SUFFIX}"
        checkpoints.save(network, outcome.checkpoint)
        return {
            self.ending: gr.update(visible=True),
            self.use: USE[_place(outcome)],
            self.confusion: charts.confusion(outcome.confusion, classes),
            self.classes: parts.by_class(classes, outcome.per_class),
            self.mistakes: report.mistakes(outcome.mistakes, classes),
            self.network: str(network),
            self.curve: str(report.write_curve(folder / f"{name}.csv", visit.last())),
        }


def _chart(value: str, kind: str = "") -> gr.HTML:
    """A place for what `report` says of curves: one canvas, drawn anew with each value."""
    return gr.HTML(
        value,
        html_template="<canvas role='img'></canvas>"
        "<a class='saved' download='curve.png' href='#'>save as PNG</a>",
        js_on_load=parts.asset("curves.js"),
        elem_classes=f"curves {kind}",
        apply_default_css=False,
    )


class _Compared:
    """The visitor's last runs, side by side."""

    def __init__(self):
        with gr.Column(visible=False) as self.whole:
            parts.heading("Compare", COMPARE)
            choices = [("by step", "step"), ("by second", "second")]
            self.by = gr.Radio(choices, value="step", label="Compare", container=False)
            with gr.Row(elem_classes="pair"):
                self.charts = {
                    measure: _chart(report.together([], measure, "step"))
                    for measure in ("loss", "accuracy")
                }
            self.table = gr.HTML(apply_default_css=False)
        self.all = [self.whole, *self.charts.values(), self.table]

    def shows(self, visit: Visit, by: str) -> dict:
        views = {
            chart: report.together(visit.courses, name, by) for name, chart in self.charts.items()
        }
        views[self.whole] = gr.update(visible=len(visit.courses) > 1)
        return views | {self.table: report.differences(visit.courses) if visit.courses else ""}


def _follow(visit: Visit, course: Course, board: _Board, room: Classroom) -> Iterator[dict]:
    """Begin a lesson, show it as it goes, and keep what was learnt as the visitor's own."""
    if visit.course and visit.course.under_way:
        raise UserError("You have a lesson under way already. Stop it, or wait for its end.")
    visit.course = course
    begun = False
    yield board.begins()
    try:
        for told in room.attend(course):
            begun = begun or told is not None
            if told:
                yield board.shows(course, told)
            elif begun:
                yield {board.status: gr.skip()}
            else:
                yield {board.status: report.waiting(room.place(course), room.wait(course))}
    except UserError as error:
        yield board.says(str(error))
        raise
    visit.finish(course)
    yield board.says(report.ending(course.outcome))


def _learning(start: gr.Button, asked: list, board: _Board, room: Classroom) -> Dependency:
    def learn(visit: Visit, preset: str, *values) -> Iterator[dict]:
        with parts.toast():
            yield from _follow(visit, Course(_recipe(preset, values)), board, room)

    return start.click(learn, asked, board.meanwhile, concurrency_limit=None, **parts.QUIET)


def _continuing(visit: gr.State, board: _Board, room: Classroom) -> Dependency:
    def go_on(visit: Visit, epochs: float | None) -> Iterator[dict]:
        with parts.toast():
            before = visit.last()
            recipe = recipes.continued(before.recipe)
            recipe = dataclasses.replace(recipe, epochs=epochs or 1)
            yield from _follow(visit, Course(recipe, before), board, room)

    asked = [visit, board.epochs]
    return board.more.click(go_on, asked, board.meanwhile, concurrency_limit=None, **parts.QUIET)


def _comparing(compared: _Compared, visit: gr.State, begun: list[Dependency]) -> None:
    for event in (compared.by.input, *(one.success for one in begun)):
        event(compared.shows, [visit, compared.by], compared.all, **parts.QUIET)


def _keeping(stop: gr.Button, visit: gr.State, board: _Board, tabs: gr.Tabs) -> None:
    def end(visit: Visit) -> None:
        with parts.toast():
            if not (visit.course and visit.course.under_way):
                raise UserError("Nothing is being learnt. Press Start first.")
            visit.course.stop()

    def use(visit: Visit) -> dict:
        with parts.toast():
            visit.choose(visit.last().name)
        return gr.Tabs(selected=_place(visit.last().outcome))

    def discard(visit: Visit) -> dict:
        with parts.toast():
            visit.discard(visit.last().name)
        return {board.ending: gr.update(visible=False)} | board.says("Discarded.")

    stop.click(end, visit, concurrency_limit=None, **parts.QUIET)
    board.use.click(use, visit, tabs, **parts.QUIET)
    board.discard.click(discard, visit, [board.ending, board.status], **parts.QUIET)
