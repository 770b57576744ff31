"""A page of one text box behind the server's middleware, which starts in a second."""

import contextlib
import logging
from collections.abc import Iterator

import gradio as gr
from starlette.middleware import Middleware

from cnn.web.server import cleanup, gradio_internals, middleware, routes
from cnn.web.server.page_cache import PageCache
from cnn.web.server.presence import Presence


class Kept:
    """What a session keeps: its number, and what the server says of its page."""

    count = 0

    def __init__(self):
        Kept.count += 1
        self.number, self.present, self.address, self.left = Kept.count, None, None, False

    def __deepcopy__(self, _) -> "Kept":
        return self

    def leave(self) -> None:
        self.left = True


def build() -> gr.Blocks:
    """Return the page: an endpoint `echo`, a server function `look`, a picture to upload."""
    with gr.Blocks(analytics_enabled=False) as page:
        kept = gradio_internals.session_state(Kept)
        text, answer = gr.Textbox(), gr.Textbox()
        image = gr.Image(type="filepath")
        text.submit(
            lambda kept, text: f"{kept.number} {text}", [kept, text], answer, api_name="echo"
        )
        image.change(lambda path: str(path), image, answer, api_name="show")

        def look(question: object) -> dict:
            return {"question": question}

        gr.HTML("", server_functions=[look])
    return page.queue()


@contextlib.contextmanager
def small_page(hosts: set[str] | None = None) -> Iterator[tuple[gr.Blocks, Presence]]:
    """Serve the page on a free port of this machine; gives it and who is there."""
    page, presence = build(), Presence()
    guard = Middleware(middleware.RequestGuard, page, presence, hosts)

    def lifespan(host):
        return cleanup.cleanup_lifespan(
            page, gradio_internals.Housekeeping(host, page, presence).run
        )

    gradio_internals.limit_heads()
    stack = [guard, Middleware(PageCache, routes.PAGES)]
    logging.getLogger("cnn").setLevel(logging.INFO)
    page.launch(
        app_kwargs={"middleware": stack, "lifespan": lifespan},
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        server_name="127.0.0.1",
        max_file_size="10mb",
    )
    try:
        yield page, presence
    finally:
        page.close()
