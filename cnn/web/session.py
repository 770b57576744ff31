"""Who is here: the networks that a visitor has chosen and made, apart from everybody else's."""

import secrets
from pathlib import Path
from weakref import WeakValueDictionary

import gradio as gr

from cnn import UserError
from cnn.data import datasets
from cnn.jobs.job import TrainingJob
from cnn.models.checkpoints import Checkpoint, ModelRegistry

MAX_OWN = 6
MAX_OWN_TOTAL = 100  # networks of all visitors, each of up to 10 MB
MAX_RUNS = 4


class SessionRegistry:
    """All visits that are not forgotten, by their tokens, and their own networks, oldest first."""

    def __init__(self):
        self.visits: WeakValueDictionary[str, VisitorSession] = WeakValueDictionary()
        self._networks: list[tuple[str, str]] = []

    def kept(self, visit: "VisitorSession", name: str) -> None:
        """Note a visit's new network; where there are too many of all visits the oldest goes."""
        self._networks = [one for one in self._networks if one != (visit.token, name)]
        self._networks.append((visit.token, name))
        while len(self._networks) > MAX_OWN_TOTAL:
            token, oldest = self._networks.pop(0)
            if token in self.visits:
                self.visits[token].discard(oldest)


class VisitorSession:
    """One stay on the page: the shipped networks, and those of the visitor.

    Gradio gives each session a copy of a State's first value, so a copy is a new visit. It is
    forgotten with its session. `token` is what only the visitor's own browser knows. `course` is
    the lesson that was begun last, `courses` are the last that came to an end.
    """

    def __init__(self, shipped: ModelRegistry, here: "SessionRegistry | None" = None):
        self.shipped = shipped
        self.token = secrets.token_urlsafe()
        self._here = here or SessionRegistry()
        self._here.visits[self.token] = self
        self.course: TrainingJob | None = None
        self.courses: list[TrainingJob] = []
        self._own: dict[str, Checkpoint] = {}
        self._chosen: dict[tuple[str, ...], str] = {}

    def __deepcopy__(self, _) -> "VisitorSession":
        return VisitorSession(self.shipped, self._here)

    def of(self, token: object) -> "VisitorSession":
        """The visit with that token; this one where there is none."""
        return self._here.visits.get(token, self) if isinstance(token, str) else self

    def names(self, dataset: str) -> list[str]:
        """The networks for a data set, by its name: the default one first, one's own last."""
        classes = datasets.get_dataset(dataset).classes
        own = (name for name, one in self._own.items() if one.card.classes == classes)
        return [*self.shipped.names(dataset), *own]

    def chosen(self, dataset: str) -> str:
        """The name of the network that answers for a data set."""
        names = self.names(dataset)
        chosen = self._chosen.get(datasets.get_dataset(dataset).classes)
        return chosen if chosen in names else names[0]

    def checkpoint(self, dataset: str) -> Checkpoint:
        """The network that answers for a data set."""
        return self.named(self.chosen(dataset))

    def named(self, name: str) -> Checkpoint:
        """The network of that name, or a `UserError` that lists the names there are."""
        return self._own.get(name) or self.shipped.named(name)

    def all(self, dataset: str) -> dict[str, Checkpoint]:
        """All networks for a data set by their names, as in `names`."""
        return {name: self.named(name) for name in self.names(dataset)}

    def choose(self, name: str) -> None:
        """Let the network of that name answer in every tab for the classes that it knows."""
        self._chosen[self.named(name).card.classes] = name

    def keep(self, name: str, checkpoint: Checkpoint) -> None:
        """Add a network of the visitor's own, in place of one of that name or of the oldest."""
        if name in self.shipped:
            raise UserError(f"{name!r} is the name of a network of ours. Give yours another one.")
        self._own.pop(name, None)
        self._own[name] = checkpoint
        while len(self._own) > MAX_OWN:
            self.discard(next(iter(self._own)))
        self._here.kept(self, name)

    def discard(self, name: str) -> None:
        """Forget a network of the visitor's own; the default one answers where it did."""
        self._own.pop(name, None)
        for course in self.courses:
            if course.name == name:
                course.drop_weights()

    def finish(self, course: TrainingJob) -> None:
        """Keep the network of a course that has come to its end, and the course for comparing."""
        self.discard(course.name)
        self.keep(course.name, course.result.checkpoint)
        self.courses = [*self.courses, course][-MAX_RUNS:]

    def last(self) -> TrainingJob:
        """The course that has ended last, with its network."""
        if not self.courses or not self.courses[-1].outcome.checkpoint.network:
            raise UserError("There is no network of yours to go on with. Press Start first.")
        return self.courses[-1]


def state(folder: Path) -> gr.State:
    """Holds each session's `Visit`; its `value` is nobody's, and sees what everybody sees."""
    return gr.State(VisitorSession(ModelRegistry(folder)))


def chooser(visit: VisitorSession, dataset: str) -> gr.Dropdown:
    """The choice of the network that answers, to be filled by `choices` when a tab is opened."""
    return gr.Dropdown(
        visit.names(dataset),
        value=visit.chosen(dataset),
        label="Network",
        container=False,
        elem_classes="chooser",
        min_width=200,
    )


def choices(visit: VisitorSession, dataset: str) -> dict:
    """What a `chooser` must show for this visitor now."""
    return gr.update(choices=visit.names(dataset), value=visit.chosen(dataset))
