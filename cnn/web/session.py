"""Visitors' sessions: the networks that each visitor has chosen, trained and uploaded."""

import secrets
from collections import Counter
from typing import NamedTuple
from weakref import WeakValueDictionary

import gradio as gr

from cnn import UserError
from cnn.data import datasets, strokes
from cnn.jobs.background import BackgroundRun
from cnn.jobs.job import TrainingJob
from cnn.jobs.queue import JobQueue
from cnn.models.checkpoints import Checkpoint, ModelRegistry
from cnn.web.server import gradio_internals

MAX_OWN = 6
MAX_OWN_TOTAL = 100  # networks of all visitors, each of up to 10 MB
MAX_JOBS = 4
MAX_EXAMPLES = 200


class Example(NamedTuple):
    """A drawing that the visitor keeps, as `strokes.encode` writes it, and the digit it shows."""

    drawing: str
    label: int


class SessionRegistry:
    """Finds sessions by their tokens, and limits how many networks visitors keep in all."""

    def __init__(self):
        self._sessions: WeakValueDictionary[str, VisitorSession] = WeakValueDictionary()
        self._networks: list[tuple[str, str]] = []  # (token, name), oldest first

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, token: object) -> "VisitorSession | None":
        """Return the session with that token, if there is one."""
        return self._sessions.get(token) if isinstance(token, str) else None

    def add(self, session: "VisitorSession") -> None:
        """Register a session for as long as somebody else refers to it."""
        self._sessions[session.token] = session

    def touch(self, session: "VisitorSession", name: str) -> None:
        """Note that a session has a new network, and discard one if there are too many.

        That of a visitor who has left goes first, then one of the address that has most.
        """
        entry = (session.token, name)
        networks = [other for other in self._networks if other != entry] + [entry]
        self._networks = [(token, own) for token, own in networks if token in self._sessions]
        while len(self._networks) > MAX_OWN_TOTAL:
            holders = Counter(self._holder(token) for token, _ in self._networks)
            token, oldest = min(
                self._networks,
                key=lambda entry: (
                    self._sessions[entry[0]].present,
                    -holders[self._holder(entry[0])],
                ),
            )
            self._networks.remove((token, oldest))
            self._sessions[token].discard(oldest)

    def _holder(self, token: str) -> str:
        return self._sessions[token].address or token


class VisitorSession:
    """What one visitor has: the bundled networks, those of their own, and their training jobs.

    `token` is a secret between the server and this visitor's browser. `training_job` is the job
    started last, `run` the last one that goes on while its page is loaded again, `jobs` are the
    last `MAX_JOBS` finished ones. `examples` are drawings to learn from, by numbers that are
    never used again. `present` says whether the page is open in a browser, `address` from where;
    the server updates both every few seconds.
    """

    def __init__(self, bundled: ModelRegistry, registry: SessionRegistry | None = None):
        self.bundled = bundled
        self.token = secrets.token_urlsafe()
        self.present = False
        self.address: str | None = None
        self.training_job: TrainingJob | None = None
        self.run: BackgroundRun | None = None
        self.jobs: list[TrainingJob] = []
        self.examples: dict[int, Example] = {}
        self._next_example = 0
        self._own: dict[str, Checkpoint] = {}
        self._chosen: dict[tuple[str, ...], str] = {}
        self._registry = SessionRegistry() if registry is None else registry
        self._registry.add(self)

    def __deepcopy__(self, _) -> "VisitorSession":
        """Return the session itself: Gradio copies a State's first value, even one just made."""
        return self

    def open(self) -> "VisitorSession":
        """Return a new session with the same bundled networks and registry."""
        return VisitorSession(self.bundled, self._registry)

    def by_token(self, token: object) -> "VisitorSession":
        """Return the session with that token; this one if there is none."""
        return self._registry.get(token) or self

    def names(self, dataset: str) -> list[str]:
        """Return the names of the networks for a data set: default first, the visitor's last."""
        classes = datasets.get_dataset(dataset).classes
        own = (name for name, network in self._own.items() if network.card.classes == classes)
        return [*self.bundled.names(dataset), *own]

    def chosen(self, dataset: str) -> str:
        """Return the name of the network that predicts for a data set."""
        names = self.names(dataset)
        chosen = self._chosen.get(datasets.get_dataset(dataset).classes)
        return chosen if chosen in names else names[0]

    def checkpoint(self, dataset: str) -> Checkpoint:
        """Return the network that predicts for a data set."""
        return self.get(self.chosen(dataset))

    def get(self, name: str) -> Checkpoint:
        """Return the network of that name, or raise a `UserError` that lists the names."""
        return self._own.get(name) or self.bundled.get(name)

    def all(self, dataset: str) -> dict[str, Checkpoint]:
        """Return all networks for a data set by name, in the order of `names`."""
        return {name: self.get(name) for name in self.names(dataset)}

    def choose(self, name: str) -> None:
        """Let the network of that name predict in every tab for the classes that it knows."""
        self._chosen[self.get(name).card.classes] = name

    def own_name(self, stem: str) -> str:
        """Return a free name for an uploaded network, never that of a trained one."""
        reserved = {f"mine ({dataset.title})" for dataset in datasets.DATASETS.values()}
        taken = {*self._own, *self.bundled, *reserved}
        name, number = f"mine ({stem})", 1
        while name in taken:
            number += 1
            name = f"mine ({stem} {number})"
        return name

    def keep(self, name: str, checkpoint: Checkpoint) -> None:
        """Add a network of the visitor's own, in place of one of that name or of the oldest."""
        if name in self.bundled:
            raise UserError(f"{name!r} is the name of a bundled network. Choose another name.")
        self._own.pop(name, None)
        self._own[name] = checkpoint
        while len(self._own) > MAX_OWN:
            self.discard(next(iter(self._own)))
        self._registry.touch(self, name)

    def discard(self, name: str) -> None:
        """Remove a network of the visitor's own; the default one predicts where it did."""
        self._own.pop(name, None)
        for job in self.jobs:
            if job.name == name:
                job.drop_weights()

    @property
    def is_training(self) -> bool:
        """Whether a page that is loaded again has a run to watch."""
        return bool(self.run and not self.run.ended)

    @property
    def has_content(self) -> bool:
        """Whether a page that is loaded again has runs or examples to show."""
        return bool(self.jobs or self.examples)

    def keep_example(self, drawing: list, label: int) -> None:
        """Keep a drawing, strokes in the unit square, with the digit that it shows.

        One that is kept already gets the new digit.
        """
        example = Example(strokes.encode(drawing), label)
        for number, other in self.examples.items():
            if other.drawing == example.drawing:
                self.examples[number] = example
                return
        if len(self.examples) >= MAX_EXAMPLES:
            raise UserError(f"There are {MAX_EXAMPLES} drawings already. Remove some first.")
        self.examples[self._next_example] = example
        self._next_example += 1

    def start(self, job: TrainingJob) -> None:
        """Make this the session's training job; a session has one at a time."""
        if self.training_job and self.training_job.running:
            raise UserError("You have a training run already. Stop it, or wait for its end.")
        job.owner, job.address = self.token, self.address
        self.training_job = job

    def start_in_background(self, job: TrainingJob, queue: JobQueue) -> None:
        """Start a job that goes on while the page is loaded again."""
        self.start(job)
        self.run = BackgroundRun(job, queue, self.finish)

    def finish(self, job: TrainingJob) -> None:
        """Keep the network of a finished job, and the job to compare it with others."""
        self.discard(job.name)
        self.keep(job.name, job.result.checkpoint)
        self.jobs = [*self.jobs, job][-MAX_JOBS:]

    def last_job(self) -> TrainingJob:
        """Return the job that has finished last, which still has its network."""
        if not self.jobs or not self.jobs[-1].result.checkpoint.network:
            raise UserError("There is no network of yours to continue. Press Start first.")
        return self.jobs[-1]

    def leave(self) -> None:
        """Cancel the training job: nobody watches it any more."""
        if self.training_job and self.training_job.running:
            self.training_job.cancel()


def state(template: VisitorSession) -> gr.State:
    """Return a State with one `VisitorSession` per browser session, each opened from a template.

    Its `template` is that session, with which the page is built; it only has bundled networks.
    """
    state = gradio_internals.session_state(lambda: template.open())
    state.template = template
    return state


def chooser(session: VisitorSession, dataset: str) -> gr.Dropdown:
    """Return the dropdown of the network that predicts; `choices` fills it for a visitor."""
    return gr.Dropdown(
        session.names(dataset),
        value=session.chosen(dataset),
        label="Network",
        container=False,
        elem_classes="chooser",
        min_width=200,
    )


def choices(session: VisitorSession, dataset: str) -> dict:
    """Return the update of a `chooser` for this visitor."""
    return gr.update(choices=session.names(dataset), value=session.chosen(dataset))
