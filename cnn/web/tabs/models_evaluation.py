"""In the tab Models: how one network does on the test pictures of its data set."""

import html
import secrets

import gradio as gr

from cnn import UserError
from cnn.evaluation.prediction import predict
from cnn.evaluation.report import EvaluationReport, evaluate_test_set
from cnn.plots import charts
from cnn.web import components
from cnn.web.session import VisitorSession

CONFUSED = (
    "A row for what a picture is, a column for what it was taken for: in grey what is right, and "
    "the brighter another cell, the more often that mistake. Click a cell to see its pictures."
)
SURENESS = (
    "First each class's share of right answers. Then the pictures by how sure the network was of "
    "them: where a bar ends at the dashed line, to be sure and to be right are the same."
)
EXAMPLES = (
    "Pictures that the network never learnt from: what each is, and below it what the network "
    "takes it for. Press one, and it is what Probabilities and Inside look at."
)
SET = "What all this is learnt from and measured on: a row a class, pictures taken at random."
TILES = 24
ANY, OTHERS = "anything", "anything else"


def views(visit: gr.State, name: gr.State, subject: gr.State) -> dict:
    """Add the views; gives the event that fills them for the network of that name."""
    status = gr.HTML(apply_default_css=False, elem_id="examined")
    looked_at = gr.HTML(apply_default_css=False, elem_id="looked-at", render=False)
    taken = [subject, looked_at]
    with gr.Column(visible="hidden", elem_classes="inside") as whole:
        confusion, choices, tiles = _confused(visit, name, taken)
        per_class, reliability = _sureness()
        examples = _examples(visit, name, taken)
        components.heading("The data set", SET)
        samples = components.picture("Pictures of each class, a row a class", "sheet still")

    def examine(visit: VisitorSession, name: str, progress=gr.Progress()) -> dict:  # noqa: B008
        network = visit.named(name)
        try:
            found = evaluate_test_set(network, progress)
        except UserError as error:
            return {status: components.inline_error(error), whole: gr.update(visible="hidden")}
        classes = found.classes
        return {
            status: "",
            looked_at: "",
            whole: gr.update(visible=True),
            confusion: charts.confusion(found.confusion, classes),
            choices[0]: gr.update(choices=[ANY, *classes], value=ANY),
            choices[1]: gr.update(choices=[OTHERS, *classes], value=OTHERS),
            tiles: _pictures(found, ANY, OTHERS),
            per_class: components.by_class(classes, found.per_class),
            reliability: charts.reliability(found.reliability),
            examples: components.tiles(found, found.examples(TILES), "examples"),
            samples: charts.samples(found.split, classes),
        }

    outputs = [status, looked_at, whole, confusion, *choices, tiles, per_class, reliability]
    outputs += [examples, samples]
    return {
        "fn": examine,
        "inputs": [visit, name],
        "outputs": outputs,
        "show_progress": "full",
        "show_progress_on": status,
        "concurrency_limit": 1,
        "concurrency_id": "review",
        "api_visibility": "private",
    }


def _confused(visit: gr.State, name: gr.State, taken: list) -> tuple:
    """The confusion matrix and the pictures of a cell; gives it, the choice, and the pictures."""
    components.heading("What it takes for what", CONFUSED)
    with gr.Row(elem_classes="pair"):
        matrix = components.picture(
            "The confusion matrix, in numbers at the endpoint review", "matrix"
        )
        with gr.Column():
            with gr.Row(elem_classes="controls"):
                actual = gr.Dropdown([ANY], label="It is", min_width=120)
                guess = gr.Dropdown([OTHERS], label="taken for", min_width=120)
            tiles = components.pickable(elem_id="cell")
    asked = [visit, name, actual, guess]

    def show(visit: VisitorSession, name: str, actual: str, guess: str) -> str:
        with components.toast():
            return _pictures(_found(visit, name), actual, guess)

    def click(visit: VisitorSession, name: str, event: gr.SelectData) -> tuple:
        classes = visit.named(name).card.classes
        cell = charts.cell_at(*event.index, classes)
        return tuple(classes[at] for at in cell) if cell else (gr.skip(), gr.skip())

    gr.on([actual.input, guess.input], show, asked, tiles, **components.HIDDEN_ENDPOINT)
    clicked = matrix.select(click, [visit, name], [actual, guess], **components.HIDDEN_ENDPOINT)
    clicked.then(show, asked, tiles, **components.HIDDEN_ENDPOINT)
    _takes_up(tiles, visit, name, taken)
    return matrix, (actual, guess), tiles


def _sureness() -> tuple:
    components.heading("How often right, and how sure", SURENESS)
    with gr.Row(elem_classes="pair"):
        per_class = gr.HTML(apply_default_css=False)
        reliability = components.picture(
            "How often it is right by how sure it is, beside the line of honesty", "chart still"
        )
    return per_class, reliability


def _examples(visit: gr.State, name: gr.State, taken: list) -> gr.HTML:
    components.heading("Test pictures", EXAMPLES)
    with gr.Row(elem_classes="controls"):
        others = gr.Button("Other pictures", min_width=120)
        one = gr.Button("A random test picture", min_width=120)
    taken[1].render()
    tiles = components.pickable(elem_id="examples-shown")

    def shuffle(visit: VisitorSession, name: str) -> str:
        found = _found(visit, name)
        return components.tiles(found, found.examples(TILES, secrets.randbelow(2**31)), "examples")

    def draw(visit: VisitorSession, name: str) -> tuple:
        found = _found(visit, name)
        return _taken_up(visit, name, secrets.randbelow(len(found.split)))

    others.click(shuffle, [visit, name], tiles, **components.HIDDEN_ENDPOINT)
    one.click(draw, [visit, name], taken, **components.HIDDEN_ENDPOINT)
    _takes_up(tiles, visit, name, taken)
    return tiles


def _takes_up(tiles: gr.HTML, visit: gr.State, name: gr.State, taken: list) -> None:
    """Let a picture that is pressed become the page's subject, and stand beside the answer."""

    def take(
        visit: VisitorSession, name: str, event: gr.EventData
    ) -> tuple[components.Subject, str]:
        with components.toast():
            subject, glance = _taken_up(visit, name, event.value)
        gr.Info(f"{subject.truth}: now what Probabilities and Inside look at.", duration=4)
        return subject, glance

    tiles.select(take, [visit, name], taken, **components.HIDDEN_ENDPOINT)


def _taken_up(visit: VisitorSession, name: str, number: object) -> tuple[components.Subject, str]:
    taken = components.test_picture(_found(visit, name), number)
    return taken, components.prediction_summary(taken, predict(visit.named(name), taken.views))


def _found(visit: VisitorSession, name: str) -> EvaluationReport:
    return evaluate_test_set(visit.named(name))


def _pictures(found: EvaluationReport, actual: str, guess: str) -> str:
    """The pictures of a class taken for another, the surest first, under their number."""
    numbers = found.cell(_number(found, actual, ANY), _number(found, guess, OTHERS))
    count = f"{len(numbers):,} picture{'s' * (len(numbers) != 1)}"
    shown = f"{count}, the {TILES} it is surest of" if len(numbers) > TILES else count
    words = f"<p class='museum'><b>{html.escape(f'{actual} taken for {guess}')}</b>: {shown}</p>"
    return words + components.tiles(found, numbers[:TILES], "taken-for")


def _number(found: EvaluationReport, name: str, none: str) -> int | None:
    if name == none:
        return None
    if name not in found.classes:
        raise UserError(f"There is no class called {name!r}. Choose: {', '.join(found.classes)}.")
    return found.classes.index(name)
