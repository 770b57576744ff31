"""The whole page: its tabs put together, and shown."""

import gc
import os
import tempfile
from pathlib import Path

import gradio as gr
import torch

from cnn.models.checkpoints import BUNDLED
from cnn.web import components, permalink, session
from cnn.web.server import cleanup, gradio_internals, logs, middleware
from cnn.web.tabs import draw, inside, models, photo, probabilities, train

LAUNCH = {
    "theme": components.THEME,
    "head": f"<style>{components.asset('page.css')}</style>"  # gradio rewrites what `css` is given
    f"<script>{components.asset('page.js')}</script>",
    "favicon_path": components.ASSETS / "mark.svg",
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
SPACE = {"FORWARDED_ALLOW_IPS": middleware.TRUSTED_PROXIES}


def page(folder: Path = BUNDLED) -> gr.Blocks:
    """The whole page, answering with the default networks of a folder of checkpoints."""
    with gr.Blocks(
        title="CNN Playground",
        analytics_enabled=False,
        delete_cache=(cleanup.INTERVAL, cleanup.MAX_AGE),
    ) as blocks:
        with gr.Row(elem_classes="door"):
            components.header()
            share = permalink.button()
        subject = gr.State(components.initial_example())
        here = session.state(folder)
        with gr.Tabs() as tabs:
            draw.tab(here, subject)
            photo.tab(here, subject)
            probabilities.tab(here, subject)
            inside.tab(here, subject)
            models.tab(here, subject)
            train.tab(here, tabs)
        permalink.connect(share, tabs, here, subject)
        components.footer()
    return blocks.queue(max_size=300, default_concurrency_limit=2)


def serve(folder: Path = BUNDLED, **given) -> gr.Blocks:
    """Build the page and serve it behind the gate; `given` goes to `launch`."""
    blocks = page(folder)
    gc.freeze()  # 460,000 objects of the page: to look through them stopped everybody for 0.8 s
    gc.collect()  # now the next one is due when there is as much of the visitors' to look through
    behind = middleware.app_kwargs(folder)
    behind["lifespan"] = lambda host: cleanup.cleanup_lifespan(
        blocks, gradio_internals.Sessions.of(host, blocks).forget
    )
    train.prepare()
    blocks.launch(**LAUNCH, app_kwargs=behind, **given)
    return blocks


def show() -> None:
    """Serve the page as its host has set it up, until the program is ended."""
    for name, value in (HOST | SPACE if "SPACE_ID" in os.environ else HOST).items():
        os.environ.setdefault(name, value)
    logs.configure()
    cleanup.limit_malloc_arenas()
    torch.set_num_threads(1)  # a picture is too small to share; the cores are for the visitors
    serve()
