"""A link to what one sees: tab, network and drawing are in its address, and nowhere else."""

import html
import time
from urllib.parse import urlencode

import gradio as gr

from cnn import UserError
from cnn.data import strokes
from cnn.web import components
from cnn.web.components import Subject
from cnn.web.session import VisitorSession


def button() -> gr.HTML:
    """The button that copies the link."""
    return gr.HTML(
        html_template="<p class='share'><span role='status'></span>"
        "<button>Copy a link to this</button></p>",
        js_on_load=components.asset("share.js"),
        apply_default_css=False,
        opened=False,
    )


def connect(share: gr.HTML, tabs: gr.Tabs, visit: gr.State, subject: gr.State) -> None:
    """Let the button copy, and a link that somebody opens show what stood in it."""

    def copy(visit: VisitorSession, subject: Subject) -> dict:
        query, missing = _query(visit, subject)
        copied = f"Copied{', without ' * bool(missing)}{' and '.join(missing)}."
        return gr.update(value={"query": query, "copied": copied, "at": time.time()})

    def restore(visit: VisitorSession, subject: Subject, event: gr.EventData) -> tuple:
        _choose(visit, str(event.network))
        if event.drawing:
            subject = _drawn(str(event.drawing)) or subject
        known = event.tab in [tab.id for tab in tabs.children]
        return (
            visit,
            subject,
            gr.Tabs(selected=event.tab if known else None),
            gr.update(opened=True),
        )

    share.click(copy, [visit, subject], share, queue=False, **components.HIDDEN_ENDPOINT)
    share.arrive(
        restore, [visit, subject], [visit, subject, tabs, share], **components.HIDDEN_ENDPOINT
    )


def _choose(visit: VisitorSession, network: str) -> None:
    if network in visit.shipped:
        visit.choose(network)
    elif network:
        gr.Warning("The network of this link is not on this page. The usual one answers.")


def _drawn(letters: str) -> Subject | None:
    try:
        return components.drawing(strokes.decode(letters))
    except UserError as error:
        gr.Warning(html.escape(str(error)))


def _query(visit: VisitorSession, subject: Subject) -> tuple[str, list[str]]:
    """What of this an address can hold, and the names of what it cannot."""
    found, missing = {}, []
    if (network := visit.chosen(subject.dataset)) in visit.shipped:
        found["network"] = network
    else:
        missing.append("your network")
    if subject.strokes is None:
        missing.append("the picture")
    else:
        found["drawing"] = strokes.encode(subject.strokes)
    return urlencode(found), missing
