"""In the tab Train: what a run is shown on while it runs, and afterwards."""

from collections.abc import Callable, Sequence

import gradio as gr

from cnn.data import datasets
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import Snapshot, TrainingResult
from cnn.models import checkpoints
from cnn.plots import grids
from cnn.web import components, curves, report_views
from cnn.web.session import VisitorSession
from cnn.web.tabs import train_results

INTRODUCTION = (
    "Before its first step the network is right about one image in ten; each step shows it a "
    "batch and moves every weight a little against the gradient of the loss. Watch the first "
    "filters turn from noise into edges, then try ten times the learning rate."
)
CURVES = (
    "Training is measured on batches while it learns from them (faint) and smoothed over the last "
    "ten or so (line); validation, the points, at the end of each epoch, on images that the "
    "network never trains on."
)
COMPARE = (
    "Your last runs on the same data set, over one another: lines for training batches, smoothed, "
    "and points for validation. Change one hyperparameter at a time, and look by seconds too: "
    "what takes more steps may still be done sooner."
)
FILTERS = "The filters of the first convolution"
USE = {"strokes": "Draw for it", "photo": "Show it a photo"}


class Dashboard:
    """The components that show a run; each method returns updates for some of them."""

    def __init__(self):
        with gr.Row(elem_classes="controls"):
            self.start = gr.Button("Start", variant="primary", min_width=160)
            self.stop = gr.Button("Stop and keep", visible=False, min_width=160)
        self.status = gr.HTML(
            train_results.status("Choose a preset and press Start."),
            apply_default_css=False,
        )
        with gr.Row(visible=False, elem_classes="afterwards") as self.actions:
            self.use = gr.Button(variant="primary", min_width=140)
            self.more = gr.Button("Continue", min_width=100)
            self.epochs = gr.Number(
                1, label="for more epochs", minimum=0.1, maximum=100, min_width=110
            )
            self.discard = gr.Button("Discard", min_width=100)
            self.network = gr.DownloadButton("Download checkpoint", min_width=150)
            self.table = gr.DownloadButton("Download curves (CSV)", min_width=150)
            self.page = gr.DownloadButton("Download as a page", min_width=150)
        with gr.Row(elem_classes="run-charts"):
            self.charts = {
                metric: curves.canvas(curves.of_run([], metric)) for metric in ("loss", "accuracy")
            }
        with gr.Row(elem_classes="watched"):
            self.filters = gr.HTML(apply_default_css=False, elem_classes="picture sheet still")
            self.samples = gr.HTML(apply_default_css=False)
        gr.HTML(
            components.render("train_explanations.html", text=f"{CURVES} {INTRODUCTION}"),
            js_on_load=components.asset("train_explanations.js"),
            apply_default_css=False,
        )
        with gr.Tabs(visible=False, elem_classes="subtabs") as self.details:
            with gr.Tab("Confusion matrix"):
                self.confusion = gr.HTML(apply_default_css=False)
            with gr.Tab("Most confident mistakes"):
                self.mistakes = gr.HTML(apply_default_css=False)
            with gr.Tab("Learning rate"):
                self.learning_rate = curves.canvas(curves.of_run([], "learning_rate"))
        self.buttons = [self.start, self.stop]
        # Gradio spends half a millisecond per event on each component that is not to change.
        self.live = [self.status, *self.charts.values(), self.filters, self.samples]
        self.after = [
            self.actions,
            self.use,
            self.details,
            self.confusion,
            self.mistakes,
        ]
        self.after += [self.learning_rate, self.network, self.table, self.page]
        self.restored = [*self.live, *self.after]

    def busy(self) -> list[dict]:
        """Turn Start into Stop."""
        return [gr.update(visible=False), gr.update(visible=True)]

    def idle(self) -> list[dict]:
        """Turn Stop into Start."""
        return [gr.update(visible=True), gr.update(visible=False)]

    def begin(self) -> dict:
        """Say that a run begins. What is left of the one before stays, dimmed: nothing jumps."""
        return self.say("Getting ready …")

    def say(self, message: str) -> dict:
        """Show one sentence in place of the status."""
        return {self.status: train_results.status(message)}

    def show_position(self, position: int, eta: float) -> dict:
        """Show how many runs go first and about how long they take."""
        return {self.status: train_results.position(position, eta)}

    def show(self, job: TrainingJob, snapshot: Snapshot) -> dict:
        """Show a snapshot: the status and curves, about once a second filters and samples."""
        views = {self.status: train_results.progress(job, snapshot)}
        if snapshot.progress:
            views |= {
                chart: curves.of_run(job.metrics, metric) for metric, chart in self.charts.items()
            }
        if snapshot.filters:
            classes = datasets.get_dataset(job.recipe.dataset).classes
            views[self.filters] = components.image_html(snapshot.filters, FILTERS)
            views[self.samples] = train_results.samples(snapshot.samples, classes)
        return views

    def say_result(self, result: TrainingResult) -> dict:
        """Show the test accuracy and how training and validation compare."""
        return {self.status: train_results.result(result)}

    def show_result(self, session: VisitorSession) -> dict:
        """Show what can be done with the result, its mistakes, and files to download.

        Where the files cannot be written the rest is shown, and a warning.
        """
        with components.toast():
            job = session.last_job()
        card, classes = job.result.checkpoint.card, job.result.checkpoint.card.classes
        views = {
            self.actions: gr.update(visible=True),
            self.use: USE[datasets.get_dataset(card.dataset).input],
            self.details: gr.update(visible=True),
            self.confusion: report_views.confusion_matrix(job.result.confusion, classes),
            self.mistakes: train_results.samples(job.result.mistakes, classes, many=True),
            self.learning_rate: curves.of_run(job.metrics, "learning_rate"),
        }
        with components.warning():
            views |= self._write_files(job)
        return views

    def _write_files(self, job: TrainingJob) -> dict:
        folder, card = components.download_folder(), job.result.checkpoint.card
        stem = f"{card.dataset}-{card.model}"
        network = folder / f"{stem}{checkpoints.SUFFIX}"
        checkpoints.save(network, job.result.checkpoint)
        page = components.html_page(folder, job.result.checkpoint, job.name)
        return {
            self.network: str(network),
            self.table: str(train_results.write_metrics(folder / f"{stem}.csv", job)),
            self.page: gr.update(value=page, visible=page is not None),
        }

    def restore(self, session: VisitorSession) -> dict:
        """Show the last run again, on a page that was loaded again."""
        if not session.jobs:
            return {self.status: gr.skip()}
        job = session.jobs[-1]
        views = self.say_result(job.result) | {
            chart: curves.of_run(job.metrics, metric) for metric, chart in self.charts.items()
        }
        if job.result.checkpoint.network:
            views |= self.show_result(session)
            filters = grids.filters(job.result.checkpoint.network)
            views[self.filters] = components.image_html(filters, FILTERS)
        return views


class Comparison:
    """The visitor's last runs on one data set, side by side."""

    def __init__(self):
        with gr.Column(visible=False) as self.whole:
            components.heading("Compare runs", COMPARE)
            with gr.Row(elem_classes="controls"):
                self.by = gr.Radio(
                    [("by step", "step"), ("by seconds", "seconds")],
                    value="step",
                    label="Horizontal axis",
                    container=False,
                )
            with gr.Row(elem_classes="run-charts"):
                self.charts = {
                    metric: curves.canvas(curves.of_runs([], metric, "step"))
                    for metric in ("loss", "accuracy")
                }
            self.table = gr.HTML(apply_default_css=False)

    def wire(self, session: gr.State, events: Sequence[Callable]) -> None:
        """Show the runs anew after each of the events, and when the choice changes."""
        outputs = [self.whole, *self.charts.values(), self.table]
        for event in (self.by.input, *events):
            event(self._show, [session, self.by], outputs, **components.HIDDEN_ENDPOINT)

    def _show(self, session: VisitorSession, by: str) -> list:
        dataset = session.jobs[-1].recipe.dataset if session.jobs else None
        jobs = [job for job in session.jobs if job.recipe.dataset == dataset]
        charts = [
            curves.of_runs([job.metrics for job in jobs], metric, by) for metric in self.charts
        ]
        table = train_results.runs(jobs) if len(jobs) > 1 else ""
        return [gr.update(visible=len(jobs) > 1), *charts, table]
