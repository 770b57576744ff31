"""Five hundred events leave no files, threads or descriptors; the benchmark has 20,000."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from soak import SPARE, soak
from support.server import ROOT, process


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux counts them so")
def test_five_hundred_events_leave_nothing_behind(tmp_path):
    place = {"GRADIO_TEMP_DIR": str(tmp_path), "CNN_RATE_LIMIT": "10000"}
    with (tmp_path / "log").open("w") as log, process(log, **place) as (address, app):
        events = soak(address, app.pid, tmp_path, events=500, visitors=2)
        with ThreadPoolExecutor() as beside:  # this thread may have a browser's loop already
            held, asked = beside.submit(asyncio.run, events).result()
    assert asked.faults == []
    assert held[-1].files <= held[0].files
    assert held[-1].threads <= held[0].threads + SPARE
    assert held[-1].descriptors <= held[0].descriptors + SPARE


def test_nothing_draws_with_the_plots_that_stay_open():
    for path in (ROOT / "cnn").rglob("*.py"):
        assert "pyplot" not in path.read_text(encoding="utf-8"), path.name
