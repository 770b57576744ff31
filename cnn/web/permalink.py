"""A link to what a visitor sees: the tab, the network and the drawing are in the address."""

import html
import time
from urllib.parse import urlencode

import gradio as gr

from cnn import UserError
from cnn.data import datasets, strokes
from cnn.web import components
from cnn.web import subject as subjects
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject

PARAMETERS = {"strokes": "network", "photo": "photo_network"}  # by the input of a data set


def button() -> gr.HTML:
    """Show the button that copies the link."""
    return gr.HTML(
        html_template="<p class='permalink'><span role='status'></span>"
        "<button>Copy a link to this</button></p>",
        js_on_load=components.asset("permalink.js"),
        apply_default_css=False,
        opened=None,
    )


def connect(link: gr.HTML, tabs: gr.Tabs, session: gr.State, subject: gr.State) -> None:
    """Let the button copy a link, and restore what an opened link describes."""

    def copy(session: VisitorSession, subject: Subject) -> dict:
        query, missing = _query(session, subject)
        copied = f"Copied{', without ' * bool(missing)}{' and '.join(missing)}."
        return gr.update(value={"query": query, "copied": copied, "at": time.time()})

    def restore(session: VisitorSession, event: gr.EventData) -> tuple:
        networks, drawing, tab = (
            components.event_field(event, name) for name in ("networks", "drawing", "tab")
        )
        for network in (networks if isinstance(networks, list) else [])[: len(PARAMETERS)]:
            _choose(session, str(network))
        drawn = _decode(str(drawing)) if drawing else None
        known = tab in [tab.id for tab in tabs.children]
        return (
            drawn or gr.skip(),
            gr.Tabs(selected=tab) if known else gr.skip(),
            gr.update(opened=time.time()),
        )

    link.click(copy, [session, subject], link, queue=False, **components.HIDDEN_ENDPOINT)
    link.restore(restore, session, [subject, tabs, link], **components.HIDDEN_ENDPOINT)


def _choose(session: VisitorSession, network: str) -> None:
    try:
        session.choose(network)
    except UserError:
        gr.Warning("The network of this link is not on this page. The default one predicts.")


def _decode(text: str) -> Subject | None:
    try:
        return subjects.from_strokes(strokes.decode(text))
    except UserError as error:
        gr.Warning(html.escape(str(error)))


def _query(session: VisitorSession, subject: Subject) -> tuple[str, list[str]]:
    """Return the query of the address, and the names of what it cannot hold."""
    query, missing = {}, []
    if (network := session.chosen(subject.dataset)) in session.bundled:
        query[PARAMETERS[datasets.get_dataset(subject.dataset).input]] = network
    else:
        missing.append("your network")
    if subject.strokes is None:
        missing.append("the image")
    else:
        query["drawing"] = strokes.encode(subject.strokes)
    return urlencode(query), missing
