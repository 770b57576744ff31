"""The whole page: its tabs put together, and shown."""

import gc
import os
import tempfile
from pathlib import Path

import gradio as gr
import torch

from cnn.checkpoints import SHIPPED
from cnn.page import (
    cleaning,
    draw,
    gate,
    inside,
    log,
    models,
    parts,
    photo,
    probabilities,
    sessions,
    sharing,
    train,
    visit,
)

LAUNCH = {
    "theme": parts.THEME,
    "head": f"<style>{parts.asset('page.css')}</style>"  # gradio rewrites what `css` is given
    f"<script>{parts.asset('page.js')}</script>",
    "favicon_path": parts.ASSETS / "mark.svg",
    "footer_links": ["api"],
    "max_file_size": "10mb",
    "ssr_mode": False,
    "show_error": False,
    "run_history": False,
    "enable_monitoring": False,
    "state_session_capacity": 1000,
}

HOST = {
    "GRADIO_TEMP_DIR": str(Path(tempfile.gettempdir()) / "cnn-playground"),
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000",  # else all events are counted anew at each one
    "GRADIO_ANALYTICS_MAX_EVENTS": "100",
}
SPACE = {"FORWARDED_ALLOW_IPS": gate.PROXIES}


def page(folder: Path = SHIPPED) -> gr.Blocks:
    """The whole page, answering with the default networks of a folder of checkpoints."""
    with gr.Blocks(
        title="CNN Playground",
        analytics_enabled=False,
        delete_cache=(cleaning.BETWEEN, cleaning.OLDEST),
    ) as blocks:
        with gr.Row(elem_classes="door"):
            parts.masthead()
            share = sharing.button()
        subject = gr.State(parts.opening())
        here = visit.state(folder)
        with gr.Tabs() as tabs:
            draw.tab(here, subject)
            photo.tab(here, subject)
            probabilities.tab(here, subject)
            inside.tab(here, subject)
            models.tab(here, subject)
            train.tab(here, tabs)
        sharing.connect(share, tabs, here, subject)
        parts.footer()
    return blocks.queue(max_size=300, default_concurrency_limit=2)


def serve(folder: Path = SHIPPED, **given) -> gr.Blocks:
    """Build the page and serve it behind the gate; `given` goes to `launch`."""
    blocks = page(folder)
    gc.freeze()  # 460,000 objects of the page: to look through them stopped everybody for 0.8 s
    gc.collect()  # now the next one is due when there is as much of the visitors' to look through
    behind = gate.served(folder)
    behind["lifespan"] = lambda host: cleaning.kept_clean(
        blocks, sessions.Sessions.of(host, blocks).forget
    )
    train.prepare()
    blocks.launch(**LAUNCH, app_kwargs=behind, **given)
    return blocks


def show() -> None:
    """Serve the page as its host has set it up, until the program is ended."""
    for name, value in (HOST | SPACE if "SPACE_ID" in os.environ else HOST).items():
        os.environ.setdefault(name, value)
    log.begin()
    cleaning.share_heaps()
    torch.set_num_threads(1)  # a picture is too small to share; the cores are for the visitors
    serve()
