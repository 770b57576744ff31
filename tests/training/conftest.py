"""The finished run that several tests of training look at."""

import pytest
from support import learner


@pytest.fixture(scope="session")
def finished():
    return learner.finished()


@pytest.fixture(scope="session")
def checkpoint():
    return learner.checkpoint()
