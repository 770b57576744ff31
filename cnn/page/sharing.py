"""A link to what one sees: tab, network and drawing are in its address, and nowhere else."""

import html
import time
from urllib.parse import urlencode

import gradio as gr

from cnn import UserError, strokes
from cnn.page import parts
from cnn.page.parts import Subject
from cnn.page.visit import Visit


def button() -> gr.HTML:
    """The button that copies the link."""
    return gr.HTML(
        html_template="<p class='share'><span role='status'></span>"
        "<button>Copy a link to this</button></p>",
        js_on_load=parts.asset("share.js"),
        apply_default_css=False,
        opened=False,
    )


def connect(share: gr.HTML, tabs: gr.Tabs, visit: gr.State, subject: gr.State) -> None:
    """Let the button copy, and a link that somebody opens show what stood in it."""

    def copy(visit: Visit, subject: Subject) -> dict:
        query, missing = _query(visit, subject)
        copied = f"Copied{', without ' * bool(missing)}{' and '.join(missing)}."
        return gr.update(value={"query": query, "copied": copied, "at": time.time()})

    def restore(visit: Visit, subject: Subject, event: gr.EventData) -> tuple:
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

    share.click(copy, [visit, subject], share, queue=False, **parts.QUIET)
    share.arrive(restore, [visit, subject], [visit, subject, tabs, share], **parts.QUIET)


def _choose(visit: Visit, network: str) -> None:
    if network in visit.shipped:
        visit.choose(network)
    elif network:
        gr.Warning("The network of this link is not on this page. The usual one answers.")


def _drawn(letters: str) -> Subject | None:
    try:
        return parts.drawing(strokes.from_letters(letters))
    except UserError as error:
        gr.Warning(html.escape(str(error)))


def _query(visit: Visit, subject: Subject) -> tuple[str, list[str]]:
    """What of this an address can hold, and the names of what it cannot."""
    found, missing = {}, []
    if (network := visit.chosen(subject.dataset)) in visit.shipped:
        found["network"] = network
    else:
        missing.append("your network")
    if subject.strokes is None:
        missing.append("the picture")
    else:
        found["drawing"] = strokes.to_letters(subject.strokes)
    return urlencode(found), missing
