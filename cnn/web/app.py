"""Puts the page together, serves it and launches it."""

import gc
import ipaddress
import os
import socket
import sys
import tempfile
from pathlib import Path

import gradio as gr
import torch

from cnn import UserError, settings
from cnn.models import custom
from cnn.models.checkpoints import BUNDLED, ModelRegistry
from cnn.web import components, endpoints, permalink, session, session_token, theme
from cnn.web import subject as subjects
from cnn.web.server import cleanup, gradio_internals, logs, middleware
from cnn.web.server.presence import Presence
from cnn.web.tabs import draw, inside, models, photo, probabilities, train

LAUNCH = {
    "theme": theme.THEME,
    "head": components.head(),
    "favicon_path": components.ASSETS / "mark.svg",
    "footer_links": ["api"],
    "max_file_size": "10mb",
    "ssr_mode": False,
    "show_error": False,
    "run_history": False,
    "enable_monitoring": False,
    "state_session_capacity": gradio_internals.MAX_SESSIONS,
}

HOST = {
    "GRADIO_TEMP_DIR": str(Path(tempfile.gettempdir()) / "cnn-playground"),
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000",  # else all events are counted at each one
    "GRADIO_ANALYTICS_MAX_EVENTS": "100",
}
SPACE = {"FORWARDED_ALLOW_IPS": middleware.TRUSTED_PROXIES}


def page(template: session.VisitorSession) -> gr.Blocks:
    """Build the whole page, predicting with the bundled networks of a session."""
    with gr.Blocks(
        title="CNN Playground",
        analytics_enabled=False,
        delete_cache=(cleanup.INTERVAL, cleanup.MAX_AGE),
    ) as blocks:
        with gr.Row(elem_classes="masthead"):
            components.header()
            link = permalink.button()
        subject = gr.State(subjects.initial_subject())
        visitor = session.state(template)
        keeper = session_token.keeper(visitor)
        with gr.Column(elem_classes="page-grid"):
            with gr.Column(elem_classes="dock"):
                components.input_switch()
                drawn = draw.dock(visitor, subject)
                photo.dock(visitor, subject)
                components.test_image_panel(visitor, subject)
            with gr.Tabs() as tabs:
                draw.tab(visitor, subject, drawn, keeper, train.training_queue())
                photo.tab(visitor, subject)
                probabilities.tab(visitor, subject)
                inside.tab(visitor, subject)
                train.tab(visitor, tabs, keeper)
                models.tab(visitor, subject)
        permalink.connect(link, tabs, visitor, subject)
        components.footer()
    return blocks.queue(max_size=300, default_concurrency_limit=2)


def serve(folder: Path = BUNDLED, **options) -> gr.Blocks:
    """Build the page and serve it behind the middleware; `options` go to `launch`."""
    custom.load_from_settings()
    template = session.VisitorSession(ModelRegistry(folder))
    blocks = page(template)
    gc.freeze()  # 460,000 objects of the page: looking through them stopped everybody for 0.8 s
    gc.collect()  # the next one is due when visitors have as many
    presence = Presence()
    app_kwargs = middleware.app_kwargs(
        blocks,
        presence,
        [middleware.health_route(template.bundled), *endpoints.routes(template)],
        _allowed_hosts(options),
    )
    app_kwargs["lifespan"] = lambda host: cleanup.cleanup_lifespan(
        blocks, gradio_internals.Housekeeping(host, blocks, presence).run
    )
    train.prepare()
    gradio_internals.limit_heads()
    gradio_internals.handle_errors(blocks)
    blocks.launch(**LAUNCH, app_kwargs=app_kwargs, **options)
    return blocks


def _allowed_hosts(options: dict) -> set[str] | None:
    """Return the names that a page on a loopback address may have; None elsewhere."""
    server = options.get("server_name") or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    if settings.on_space() or not _is_loopback(server):
        return None
    return settings.allowed_hosts()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"


def check_port() -> None:
    """Raise a `UserError` if the port is taken; Gradio would silently use another."""
    name = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    try:
        port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((name, port))
    except (OSError, ValueError, OverflowError):
        port = os.environ.get("GRADIO_SERVER_PORT", "7860")
        raise UserError(
            f"Port {port} of {name} cannot be used: another program may have it. "
            "Set GRADIO_SERVER_PORT to a free one."
        ) from None


def main() -> None:
    """Serve the page as the environment configures it, until the program is ended."""
    for name, value in (HOST | SPACE if settings.on_space() else HOST).items():
        os.environ.setdefault(name, value)
    logs.configure()
    try:
        check_port()
        cleanup.limit_malloc_arenas()
        torch.set_num_threads(1)  # an image is too small to share; the cores are for the visitors
        serve(server_port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    except UserError as error:
        sys.exit(f"error: {error}")
