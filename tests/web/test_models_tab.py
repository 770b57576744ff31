"""What the tab Models says of a network beside its numbers."""

from dataclasses import replace

from support.learner import BRIEF, CPU, few

from cnn.training.finalize import finalize
from cnn.training.loop import fit
from cnn.training.state import start
from cnn.web.tabs import models


def test_a_command_that_was_stopped_early_is_said_to_be_the_start_of_it():
    run = start(replace(BRIEF, epochs=1.5), few(), CPU)
    steps = fit(run)
    next(steps)
    assert "by the start of</p>" in models._words(finalize(run).card)
    for _ in steps:
        pass
    assert "by</p>" in models._words(finalize(run).card)
