"""The tab Train: a network trains from scratch while one watches."""

import asyncio
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Iterator

import gradio as gr
from gradio.events import Dependency

from cnn import UserError, settings
from cnn.data import datasets
from cnn.jobs.background import BackgroundRun
from cnn.jobs.job import TrainingJob
from cnn.jobs.queue import JobQueue
from cnn.jobs.worker import train_remotely
from cnn.training.config import Recipe, for_finetuning
from cnn.training.presets import PRESETS, preset
from cnn.web import components
from cnn.web.session import VisitorSession
from cnn.web.tabs import train_results
from cnn.web.tabs.train_dashboard import Comparison, Dashboard

FIRST = "mnist-99"
HYPERPARAMETERS = (
    *(
        "dataset",
        "model",
        "epochs",
        "batch_size",
        "optimizer",
        "learning_rate",
        "momentum",
    ),
    *("schedule", "label_smoothing", "dropout", "seed", "augmentation"),
)
RECIPES = [PRESETS[name].recipe for name in train_results.PRESET_NAMES]
FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}


def tab(session: gr.State, tabs: gr.Tabs, keeper: gr.HTML) -> None:
    """Add the tab; a trained network becomes one of the visitor's own models.

    `keeper` tells when a page that was loaded again has its last run to show.
    """
    queue = training_queue()
    with gr.Tab("Train", id="train", elem_classes="train") as shown:
        chosen = gr.State(FIRST)
        with gr.Row(elem_classes="train-columns"):
            with gr.Column(elem_classes="settings"):
                cards = _preset_cards()
                with gr.Row(elem_classes="hyperparameters"):
                    widgets = [_widget(name) for name in HYPERPARAMETERS]
                with gr.Accordion("What these mean", open=False):
                    gr.HTML(
                        train_results.help_texts(HYPERPARAMETERS),
                        apply_default_css=False,
                    )
            with gr.Column(elem_classes="run"):
                dashboard = Dashboard()
        comparison = Comparison()
    runs = [
        _wire_start(session, [chosen, *widgets], dashboard, queue),
        _wire_continue(session, dashboard, queue),
        _wire_reload(session, dashboard, queue, keeper),
    ]
    _wire_presets(cards, chosen, widgets, [shown.select, *(run.then for run in runs)], queue)
    for run in runs:
        for end in (run.success, run.failure):  # `then` does not follow a failed event
            end(
                dashboard.idle,
                None,
                dashboard.buttons,
                js=components.TRAINING_ENDED,
                **components.HIDDEN_ENDPOINT,
            )
        run.success(
            dashboard.show_result,
            session,
            dashboard.after,
            **components.HIDDEN_ENDPOINT,
        )
    keeper.restore(dashboard.restore, session, dashboard.restored, **components.HIDDEN_ENDPOINT)
    comparison.wire(session, [keeper.restore, *(run.success for run in runs)])
    _wire_result(session, dashboard, tabs)


@functools.cache
def training_queue() -> JobQueue:
    """Return the queue that holds all training jobs of this process."""
    return JobQueue(settings.max_runs(), remote_training())


def prepare() -> None:
    """Estimate how long the presets take, before a visitor asks."""
    training_queue().estimate_durations(RECIPES)


def remote_training() -> Callable | None:
    """Return the host's way to train on a shared GPU, where the `spaces` package is installed."""
    try:
        import spaces
    except ImportError:
        return None
    return spaces.GPU(duration=round(settings.train_seconds()) + 30)(train_remotely)


def _preset_cards() -> gr.HTML:
    return gr.HTML(
        train_results.preset_cards(FIRST, {}, settings.train_seconds()),
        js_on_load="""let chosen;
        element.addEventListener("change", (event) =>
            trigger("choose", { preset: (chosen = event.target.value) }));
        watch("value", () => {
            if (chosen) element.querySelector(`[value="${chosen}"]`).checked = true;
        });""",
        apply_default_css=False,
    )


def _widget(name: str) -> gr.components.Component:
    metadata, value = FIELDS[name].metadata, getattr(PRESETS[FIRST].recipe, name)
    label = name.replace("_", " ")
    if isinstance(value, tuple):
        return gr.CheckboxGroup(
            list(metadata["choices"]),
            value=list(value),
            label=label,
            elem_classes="full",
        )
    if metadata["choices"]:
        return gr.Dropdown(list(metadata["choices"]), value=value, label=label, min_width=120)
    low, high = metadata["range"]
    placeholder = "the network's own" if FIELDS[name].default is None else None
    return gr.Number(
        value,
        placeholder=placeholder,
        minimum=low,
        maximum=high,
        label=label,
        min_width=120,
    )


def _wire_presets(
    cards: gr.HTML,
    chosen: gr.State,
    widgets: list,
    idle: list[Callable],
    queue: JobQueue,
) -> None:
    """Fill the widgets from a preset, and estimate durations while no job runs."""

    def choose(event: gr.EventData) -> list:
        name = str(components.event_field(event, "preset"))
        with components.toast():
            recipe = preset(name).recipe
        values = [getattr(recipe, name) for name in HYPERPARAMETERS]
        return [name, *(list(v) if isinstance(v, tuple) else v for v in values)]

    async def estimate(chosen: str) -> AsyncIterator[str]:
        estimating = True
        while estimating:
            estimating = queue.estimate_durations(RECIPES)
            yield train_results.preset_cards(chosen, queue.estimates, settings.train_seconds())
            await asyncio.sleep(estimating)

    cards.choose(choose, None, [chosen, *widgets], **components.HIDDEN_ENDPOINT)
    for event in idle:
        event(
            estimate,
            chosen,
            cards,
            concurrency_limit=None,
            **components.HIDDEN_ENDPOINT,
        )


def recipe_from_widgets(name: str, values: tuple) -> Recipe:
    """Return the preset's recipe with the widgets' values, in the order of `HYPERPARAMETERS`."""
    given = dict(zip(HYPERPARAMETERS, values, strict=True))
    given["augmentation"] = tuple(given["augmentation"])
    for field, value in given.items():
        if value is None and FIELDS[field].default is not None:
            raise UserError(f"“{field.replace('_', ' ')}” is empty. Give a number.")
    for field in ("batch_size", "seed"):
        given[field] = int(given[field])
    return dataclasses.replace(preset(name).recipe, **given)


def follow(
    session: VisitorSession, job: TrainingJob, dashboard: Dashboard, queue: JobQueue
) -> Iterator[dict]:
    """Start a job and show it as it goes; its network becomes one of the visitor's own."""
    session.start_in_background(job, queue)
    yield dashboard.begin()
    yield from watch(session.run, dashboard, queue)


def watch(run: BackgroundRun, dashboard: Dashboard, queue: JobQueue) -> Iterator[dict]:
    """Show a run from here on."""
    job, started = run.job, False
    try:
        for snapshot in run.watch():
            started = started or snapshot is not None
            if snapshot:
                yield dashboard.show(job, snapshot)
            elif started:
                yield {dashboard.status: gr.skip()}
            elif job.running:
                yield dashboard.show_position(queue.position(job), queue.eta(job))
    except UserError as error:
        yield dashboard.say(str(error))
        raise
    yield dashboard.say_result(job.result)


def _wire_start(
    session: gr.State, inputs: list, dashboard: Dashboard, queue: JobQueue
) -> Dependency:
    def train(session: VisitorSession, name: str, *values) -> Iterator[dict]:
        with components.toast():
            yield from follow(
                session,
                TrainingJob(recipe_from_widgets(name, values)),
                dashboard,
                queue,
            )

    return _run_on(dashboard.start.click, train, [session, *inputs], dashboard)


def _wire_continue(session: gr.State, dashboard: Dashboard, queue: JobQueue) -> Dependency:
    def train_on(session: VisitorSession, epochs: float | None) -> Iterator[dict]:
        with components.toast():
            parent = session.last_job()
            recipe = dataclasses.replace(for_finetuning(parent.recipe), epochs=epochs or 1)
            yield from follow(session, TrainingJob(recipe, parent), dashboard, queue)

    return _run_on(dashboard.more.click, train_on, [session, dashboard.epochs], dashboard)


def _wire_reload(
    session: gr.State, dashboard: Dashboard, queue: JobQueue, keeper: gr.HTML
) -> Dependency:
    def watch_again(session: VisitorSession) -> Iterator[dict]:
        with components.toast():
            if session.run is None:
                raise UserError("No run is under way. Press Start first.")
            yield from watch(session.run, dashboard, queue)

    return _run_on(keeper.resume_training, watch_again, [session], dashboard)


def _run_on(event: Callable, run: Callable, inputs: list, dashboard: Dashboard) -> Dependency:
    """Turn Start into Stop at an event, and only then show the run."""
    begun = event(
        dashboard.busy,
        None,
        dashboard.buttons,
        queue=False,
        js=components.TRAINING_BEGUN,
        **components.HIDDEN_ENDPOINT,
    )
    return begun.then(
        run, inputs, dashboard.live, concurrency_limit=None, **components.HIDDEN_ENDPOINT
    )


def _wire_result(session: gr.State, dashboard: Dashboard, tabs: gr.Tabs) -> None:
    def stop(session: VisitorSession) -> dict:
        with components.toast():
            if not (session.training_job and session.training_job.running):
                raise UserError("No run is under way. Press Start first.")
            session.training_job.stop()
        return dashboard.say("Stopping after this step …")

    def use(session: VisitorSession) -> dict:
        with components.toast():
            job = session.last_job()
            session.choose(job.name)
        return gr.Tabs(selected=tab_for(job))

    def discard(session: VisitorSession) -> dict:
        with components.toast():
            session.discard(session.last_job().name)
        return {dashboard.actions: gr.update(visible=False)} | dashboard.say("Discarded.")

    options = components.HIDDEN_ENDPOINT
    dashboard.stop.click(stop, session, dashboard.status, concurrency_limit=None, **options)
    dashboard.use.click(use, session, tabs, **options)
    dashboard.discard.click(discard, session, [dashboard.actions, dashboard.status], **options)


def tab_for(job: TrainingJob) -> str:
    """Return the tab in which the job's network can be tried."""
    dataset = datasets.get_dataset(job.result.checkpoint.card.dataset)
    return "draw" if dataset.input == "strokes" else "photo"
