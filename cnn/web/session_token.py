"""The session's token in the visitor's browser: a page loaded again has the same session."""

import gradio as gr

from cnn.web import components
from cnn.web.session import VisitorSession


def keeper(session: gr.State) -> gr.HTML:
    """Add what gives a page loaded again its session, and warns where the browser keeps nothing.

    Its event `restore` follows where that session has networks, runs or examples already, and
    `resume_training` where a run is under way. The token travels in the bodies of requests alone,
    and a second page of one browser shares it.
    """

    def resume(session: VisitorSession, event: gr.EventData) -> tuple[VisitorSession, dict]:
        resumed = session.by_token(components.event_field(event, "token"))
        return resumed, gr.update(
            token=resumed.token,
            has_content=resumed.has_content,
            is_training=resumed.is_training,
        )

    view = gr.HTML(
        html_template=components.asset("session_token.html"),
        js_on_load=components.asset("session_token.js"),
        apply_default_css=False,
        token=None,
        has_content=False,
        is_training=False,
    )
    view.resume(resume, session, [session, view], queue=False, **components.HIDDEN_ENDPOINT)
    return view
