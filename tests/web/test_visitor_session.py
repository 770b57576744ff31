"""Visitors' sessions, each with networks of its own."""

import gc
from dataclasses import replace

import pytest
from support.learner import RECIPE, checkpoint

from cnn import UserError
from cnn.data import datasets, synthetic
from cnn.jobs.job import TrainingJob
from cnn.jobs.session import TrainingResult
from cnn.models.checkpoints import BUNDLED, ModelRegistry
from cnn.web import session as sessions
from cnn.web.session import (
    MAX_EXAMPLES,
    MAX_JOBS,
    MAX_OWN,
    MAX_OWN_TOTAL,
    SessionRegistry,
    VisitorSession,
)

MINE = "mine (Synthetic digits)"


@pytest.fixture(scope="module")
def template():
    return VisitorSession(ModelRegistry(BUNDLED))


@pytest.fixture
def session(template):
    return template.open()


def finished_job(seed: int = 0) -> TrainingJob:
    job = TrainingJob(replace(RECIPE, seed=seed))
    job.result = TrainingResult(checkpoint(), None, (), None, "")
    return job


def test_the_default_network_predicts_until_another_is_chosen(session):
    assert session.checkpoint("mnist").card.is_default
    session.choose("mnist-three-conv")
    assert session.checkpoint("mnist").card.model == "three-conv"
    assert session.checkpoint("cifar10").card.is_default


def test_a_choice_is_one_visitors_alone(session, template):
    other = template.open()
    session.choose("mnist-three-conv")
    assert other.chosen("mnist") == template.chosen("mnist") == template.names("mnist")[0]


def test_all_sessions_share_the_bundled_networks(session, template):
    assert session.checkpoint("mnist") is template.open().checkpoint("mnist")


def test_an_own_network_predicts_for_every_data_set_with_its_classes(session, template):
    session.keep(MINE, checkpoint())
    session.choose(MINE)
    assert session.checkpoint("mnist") is session.checkpoint("synthetic") is checkpoint()
    assert session.names("mnist")[-1] == MINE
    assert list(session.all("mnist")) == session.names("mnist")
    assert MINE not in session.names("cifar10")
    assert MINE not in template.names("mnist")


def test_after_discarding_a_network_the_default_predicts(session):
    session.keep(MINE, checkpoint())
    session.choose(MINE)
    session.discard(MINE)
    assert session.checkpoint("mnist").card.is_default
    with pytest.raises(UserError, match="mnist"):
        session.get(MINE)


def test_the_oldest_of_too_many_own_networks_is_discarded(session):
    for number in range(MAX_OWN + 1):
        session.keep(f"mine {number}", checkpoint())
    assert session.names("mnist")[-MAX_OWN:] == [f"mine {n}" for n in range(1, MAX_OWN + 1)]


def test_the_oldest_of_too_many_networks_of_all_visitors_is_discarded(template):
    visitors = [template.open() for _ in range(MAX_OWN_TOTAL + 1)]
    for visitor in visitors:
        visitor.keep(MINE, checkpoint())
        visitor.choose(MINE)
    assert visitors[0].checkpoint("mnist").card.is_default
    assert [visitor.chosen("mnist") for visitor in visitors[1:]] == [MINE] * MAX_OWN_TOTAL


def test_uploads_without_a_page_take_no_visitors_network(template):
    visitor = template.open()
    visitor.present = True
    visitor.keep(MINE, checkpoint())
    programs = [template.open() for _ in range(2 * MAX_OWN_TOTAL)]
    for program in programs:
        program.address = "198.51.100.1"
        program.keep(MINE, checkpoint())
    assert MINE in visitor.names("mnist")


def test_an_address_with_many_networks_takes_none_of_another_address(template):
    visitor, attackers = template.open(), [template.open() for _ in range(2 * MAX_OWN_TOTAL)]
    for session in (visitor, *attackers):
        session.present = True
        session.address = "198.51.100.1"
    visitor.address = "192.0.2.1"
    for session in (visitor, *attackers):
        session.keep(MINE, checkpoint())
    assert MINE in visitor.names("mnist")


def test_finished_jobs_are_kept_for_comparing_and_only_the_last_with_its_network(session):
    for number in range(MAX_JOBS + 1):
        job = finished_job(number)
        session.finish(job)
    assert [job.recipe.seed for job in session.jobs] == [1, 2, 3, 4]
    assert [bool(job.result.checkpoint.network) for job in session.jobs] == [0, 0, 0, 1]
    assert session.last_job() is job
    session.discard(job.name)
    with pytest.raises(UserError, match="no network of yours"):
        session.last_job()
    assert job.result.checkpoint.card.dataset == "synthetic"


def test_a_session_has_one_training_job_at_a_time(session):
    first, second = TrainingJob(RECIPE), TrainingJob(RECIPE)
    session.address = "192.0.2.1"
    session.start(first)
    first.running = True
    assert (first.owner, first.address) == (session.token, "192.0.2.1")
    with pytest.raises(UserError, match="already"):
        session.start(second)
    first.running = False
    session.start(second)
    assert session.training_job is second


def test_a_visitor_who_leaves_cancels_their_job(session):
    session.leave()
    job = TrainingJob(RECIPE)
    session.start(job)
    session.leave()
    assert not job.cancelled
    job.running = True
    session.leave()
    assert job.cancelled


def test_an_upload_never_replaces_a_trained_network(session):
    for dataset in datasets.DATASETS.values():
        assert session.own_name(dataset.title) == f"mine ({dataset.title} 2)"
    session.finish(finished_job())
    trained = session.get(MINE)
    session.keep(session.own_name("Synthetic digits"), checkpoint())
    assert session.get(MINE) is trained
    session.keep(session.own_name("net"), checkpoint())
    assert session.own_name("net") == "mine (net 2)"


def test_an_own_network_cannot_have_the_name_of_a_bundled_one(session):
    name = session.chosen("mnist")
    with pytest.raises(UserError, match="Choose another name"):
        session.keep(name, checkpoint())
    assert session.checkpoint("mnist").card.is_default


def test_a_token_leads_to_its_session_and_any_other_to_the_template(session, template):
    other = template.open()
    assert template.by_token(session.token) is session
    assert template.by_token(other.token) is other
    for token in (None, "", "guess", 7, [], {}, session.token[:-1]):
        assert template.by_token(token) is template


def test_sessions_that_are_over_leave_nothing_behind():
    registry = SessionRegistry()
    template = VisitorSession(ModelRegistry(BUNDLED), registry)
    tokens = {template.open().token for _ in range(1_000)}
    gc.collect()
    assert len(tokens) == 1_000
    assert len(registry) == 1


def test_a_state_makes_a_session_of_its_own_each_time():
    state = sessions.state(VisitorSession(ModelRegistry(BUNDLED)))
    first, second = state.value(), state.value()
    assert first.token != second.token
    assert state.template.by_token(first.token) is first


def test_without_bundled_networks_a_visitor_can_keep_one(tmp_path):
    session = VisitorSession(ModelRegistry(tmp_path))
    session.keep(MINE, checkpoint())
    assert session.chosen("mnist") == MINE


def test_a_drawing_is_kept_once_with_its_last_digit(session, template):
    session.keep_example(synthetic.example(7), 1)
    session.keep_example(synthetic.example(4), 4)
    session.keep_example(synthetic.example(7), 7)
    assert [example.label for example in session.examples.values()] == [7, 4]
    assert not template.open().examples


def test_the_number_of_a_removed_example_is_not_used_again(session):
    session.keep_example(synthetic.example(7), 7)
    session.examples.clear()
    session.keep_example(synthetic.example(4), 4)
    assert list(session.examples) == [1]


def test_examples_are_kept_up_to_a_limit(session):
    for number in range(MAX_EXAMPLES):
        session.keep_example([[[number / MAX_EXAMPLES, 0], [1, 1]]], 1)
    with pytest.raises(UserError, match="Remove some first"):
        session.keep_example([[[0, 1], [1, 0]]], 1)
    assert len(session.examples) == MAX_EXAMPLES


def test_a_session_has_content_once_it_has_a_run_or_an_example(session, template):
    assert not session.has_content
    session.keep_example(synthetic.example(7), 7)
    assert session.has_content
    other = template.open()
    other.finish(finished_job())
    assert other.has_content
