"""A full disk: what was learnt stays, and each file that cannot be written is a sentence."""

import errno

import gradio as gr
import pytest
import torch
from support.learner import RECIPE, checkpoint

from cnn.data.datasets import Split
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import SamplePredictions, Snapshot, TrainingResult
from cnn.models import checkpoints
from cnn.models.checkpoints import BUNDLED, ModelRegistry
from cnn.training.state import Progress
from cnn.web import app
from cnn.web.server import cleanup
from cnn.web.session import VisitorSession
from cnn.web.tabs.train_dashboard import Dashboard

SENTENCES = {"full": "disk is full.", "failing": "its disk may be full."}


@pytest.fixture(params=SENTENCES)
def sentence(request, monkeypatch, tmp_path):
    """Fills the disk, before or while a file is written; gives what a visitor is told."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def save(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if request.param == "full":
        monkeypatch.setattr(cleanup, "MIN_FREE", 10**18)
    else:
        monkeypatch.setattr(checkpoints, "save", save)
    return SENTENCES[request.param]


@pytest.fixture
def warnings(monkeypatch):
    """What visitors are warned of."""
    said = []
    monkeypatch.setattr(gr, "Warning", said.append)
    return said


@pytest.fixture
def session():
    """A session whose run has ended."""
    session = VisitorSession(ModelRegistry(BUNDLED))
    job = TrainingJob(RECIPE)
    for step in (1, 2):
        job.record(Snapshot(progress=Progress(step, 2, 1, step, 0.01, 1, 1, 1, 1, 1, 1, 1)))
    images = Split(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([1]))
    mistakes = SamplePredictions(images, torch.tensor([0.5]), torch.tensor([2]))
    confusion = torch.eye(10, dtype=torch.long)
    job.result = TrainingResult(checkpoint(), confusion, (), mistakes, "")
    session.start(job)
    session.finish(job)
    return session


def test_a_run_that_ends_on_a_full_disk_keeps_and_shows_what_it_learned(
    session, sentence, warnings
):
    with gr.Blocks():
        dashboard = Dashboard()
    views = dashboard.show_result(session)
    assert session.last_job().result.checkpoint.network
    assert {dashboard.actions, dashboard.confusion, dashboard.mistakes} <= views.keys()
    assert dashboard.network not in views
    assert [warning.endswith(".") for warning in warnings] == [True]
    assert sentence in warnings[0]


def test_a_run_that_ends_has_files_to_download(session, warnings, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks():
        dashboard = Dashboard()
    views = dashboard.show_result(session)
    assert checkpoints.load(views[dashboard.network]).card.model == RECIPE.model
    assert not warnings


def test_a_model_that_cannot_be_written_is_a_sentence(session, sentence):
    page = app.page(session)
    (write,) = {fn.fn for fn in page.fns.values() if fn.name == "write_files"}
    with pytest.raises(gr.Error) as error:
        write(session, session.last_job().name)
    assert sentence in error.value.message


def test_no_image_that_the_page_shows_is_written_to_a_disk(session):
    images = [block for block in app.page(session).blocks.values() if isinstance(block, gr.Image)]
    assert all(image.interactive is not False for image in images)
