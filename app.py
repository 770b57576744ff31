"""Puts the tabs together and shows them: `python app.py`, then open the address it prints."""

from pathlib import Path

import gradio as gr
import torch

from cnn.page import draw, inside, parts, photo, probabilities, train, visit

CHECKPOINTS = Path(__file__).parent / "checkpoints"

LAUNCH = {
    "theme": parts.THEME,
    "head": f"<style>{parts.asset('page.css')}</style>",  # gradio rewrites what `css` is given
    "favicon_path": parts.ASSETS / "mark.svg",
    "footer_links": ["api"],
    "max_file_size": "10mb",
    "ssr_mode": False,
    "show_error": False,
    "run_history": False,
}


def page(folder: Path = CHECKPOINTS) -> gr.Blocks:
    """The whole page, answering with the default networks of a folder of checkpoints."""
    with gr.Blocks(
        title="CNN Playground", analytics_enabled=False, delete_cache=(3600, 3600)
    ) as blocks:
        parts.masthead()
        subject = gr.State(parts.opening())
        here = visit.state(folder)
        with gr.Tabs():
            draw.tab(here, subject)
            photo.tab(here, subject)
            probabilities.tab(here, subject)
            inside.tab(here, subject)
            train.tab()
    return blocks.queue(max_size=40)


if __name__ == "__main__":
    torch.set_num_threads(1)  # a picture is too small to share; the cores are for the visitors
    page().launch(**LAUNCH)
