"""The notebook runs from beginning to end without a download."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).parents[1] / "assets" / "tour.ipynb"


def _outputs(notebook) -> list:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(TOUR, as_version=4)
    assert not _outputs(notebook)
    assert all(cell.get("execution_count") is None for cell in notebook.cells)


def test_the_notebook_trains_a_network_and_draws_what_it_does(monkeypatch):
    monkeypatch.delenv("CNN_DATA", raising=False)
    notebook = nbformat.read(TOUR, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": TOUR.parent}}).execute()
    outputs = _outputs(notebook)
    text = "".join(output.get("text", "") for output in outputs)
    accuracy = float(text.split("\u00a0% of the test images")[0].split()[-1])
    assert accuracy > 95
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) >= 15  # data, curves, confusion, calibration, filters, maps, attributions
    assert not [output for output in outputs if output.get("name") == "stderr"]
