"""Visitors, each with networks of their own."""

import copy
import gc
from dataclasses import replace

import pytest
from support.learner import RECIPE, checkpoint

from cnn import UserError
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import TrainingResult
from cnn.models.checkpoints import BUNDLED, ModelRegistry
from cnn.web import app
from cnn.web.session import MAX_OWN, MAX_OWN_TOTAL, MAX_RUNS, VisitorSession

MINE = "mine (Synthetic digits)"


@pytest.fixture(scope="module")
def anybody():
    return VisitorSession(ModelRegistry(BUNDLED))


@pytest.fixture
def visit(anybody):
    return copy.deepcopy(anybody)


def test_the_default_network_answers_until_another_is_chosen(visit):
    default = visit.checkpoint("mnist")
    assert default.card.default
    visit.choose("mnist-three-conv")
    assert visit.checkpoint("mnist").card.model == "three-conv"
    assert visit.checkpoint("cifar10").card.default


def test_a_choice_is_the_visitors_alone(visit, anybody):
    another = copy.deepcopy(anybody)
    visit.choose("mnist-three-conv")
    assert another.chosen("mnist") == anybody.chosen("mnist") == anybody.names("mnist")[0]


def test_all_visitors_share_the_shipped_networks(visit, anybody):
    assert visit.checkpoint("mnist") is copy.deepcopy(anybody).checkpoint("mnist")


def test_ones_own_network_reads_what_has_the_same_classes(visit, anybody):
    visit.keep(MINE, checkpoint())
    visit.choose(MINE)
    assert visit.checkpoint("mnist") is visit.checkpoint("synthetic") is checkpoint()
    assert visit.names("mnist")[-1] == MINE
    assert list(visit.all("mnist")) == visit.names("mnist")
    assert MINE not in visit.names("cifar10")
    assert MINE not in anybody.names("mnist")


def test_what_is_discarded_leaves_the_answer_to_the_default(visit):
    visit.keep(MINE, checkpoint())
    visit.choose(MINE)
    visit.discard(MINE)
    assert visit.checkpoint("mnist").card.default
    with pytest.raises(UserError, match="Choose: .*mnist"):
        visit.named(MINE)


def test_the_oldest_of_too_many_own_networks_makes_room(visit):
    for number in range(MAX_OWN + 1):
        visit.keep(f"mine {number}", checkpoint())
    assert visit.names("mnist")[-MAX_OWN:] == [f"mine {n}" for n in range(1, MAX_OWN + 1)]


def test_the_oldest_of_too_many_networks_of_all_visitors_makes_room(anybody):
    visits = [copy.deepcopy(anybody) for _ in range(MAX_OWN_TOTAL + 1)]
    for one in visits:
        one.keep(MINE, checkpoint())
        one.choose(MINE)
    assert visits[0].checkpoint("mnist").card.default
    assert [one.chosen("mnist") for one in visits[1:]] == [MINE] * MAX_OWN_TOTAL


def test_runs_are_remembered_for_comparing_and_only_the_last_with_its_network(visit):
    for number in range(MAX_RUNS + 1):
        course = TrainingJob(replace(RECIPE, seed=number))
        course.outcome = TrainingResult(checkpoint(), None, (), None, "")
        visit.finish(course)
    assert [course.recipe.seed for course in visit.courses] == [1, 2, 3, 4]
    assert [bool(course.outcome.checkpoint.network) for course in visit.courses] == [0, 0, 0, 1]
    assert visit.last() is course
    visit.discard(course.name)
    with pytest.raises(UserError, match="no network of yours"):
        visit.last()
    assert course.outcome.checkpoint.card.dataset == "synthetic"


def test_no_own_network_takes_the_name_of_a_shipped_one(visit):
    name = visit.chosen("mnist")
    with pytest.raises(UserError, match="another"):
        visit.keep(name, checkpoint())
    assert visit.checkpoint("mnist").card.default


def test_a_token_leads_to_its_visit_and_any_other_to_the_default(visit, anybody):
    another = copy.deepcopy(anybody)
    visit.choose("mnist-three-conv")
    assert anybody.of(visit.token) is visit
    assert anybody.of(another.token) is another
    for token in (None, "", "guess", 7, [], {}, visit.token[:-1]):
        assert anybody.of(token) is anybody


def test_who_has_gone_leaves_nothing_behind(anybody):
    gc.collect()
    before = len(anybody._here.visits)
    tokens = {copy.deepcopy(anybody).token for _ in range(1_000)}
    gc.collect()
    assert len(tokens) == 1_000
    assert len(anybody._here.visits) == before


def test_a_session_gets_a_visit_of_its_own():
    state = next(
        block
        for block in app.page().blocks.values()
        if isinstance(getattr(block, "value", 0), VisitorSession)
    )
    first, second = copy.deepcopy(state.value), copy.deepcopy(state.value)
    assert first.token != second.token
    assert state.value.of(first.token) is first


def test_without_networks_a_visitor_can_still_keep_one(tmp_path):
    visit = VisitorSession(ModelRegistry(tmp_path))
    visit.keep(MINE, checkpoint())
    assert visit.chosen("mnist") == MINE
