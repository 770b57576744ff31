"""What the tab Models says of a network beside its numbers."""

from dataclasses import replace

from learner import BRIEF, CPU, few

from cnn import training
from cnn.page import models


def test_a_command_that_was_stopped_early_is_said_to_be_the_start_of_it():
    run = training.start(replace(BRIEF, epochs=1.5), few(), CPU)
    steps = training.fit(run)
    next(steps)
    assert "by the start of</p>" in models._words(training.conclude(run).card)
    for _ in steps:
        pass
    assert "by</p>" in models._words(training.conclude(run).card)
