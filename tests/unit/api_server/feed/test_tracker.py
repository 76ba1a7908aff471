"""States follow from changes: in order, none twice, and none missing that the changes tell."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.changes import JobChange, summary
from api_server.domain.job import Job, Progress, Status
from api_server.feed.tracker import Tracker
from tests.unit.api_server.feed.feed_fakes import Database, job, position

STEPS: list[dict[str, Any]] = [
    {"status": Status.PROCESSING, "attempt": 1, "worker_id": "w"},
    {"progress": Progress(50, "half")},
    {"status": Status.QUEUED, "worker_id": "", "progress": None},
    {"status": Status.COMPLETED},
]


def states_of(database: Database) -> dict[UUID, list[Job]]:
    """Each state that each job had, in order."""
    history: dict[UUID, list[Job]] = {}
    for change in database.log:
        states = history.setdefault(change.job_id, [])
        states.append(change.created() if change.is_new else replace(states[-1], **change.values))
    return history


@st.composite
def histories(draw: st.DrawFn) -> Database:
    """A few jobs with some changes each, in any order."""
    database = Database()
    for number, step in draw(
        st.lists(st.tuples(st.integers(1, 3), st.sampled_from(STEPS)), min_size=1, max_size=25)
    ):
        if UUID(int=number) not in database.jobs:
            database.create(job(number))
        else:
            database.change(UUID(int=number), **step)
    return database


@given(histories(), st.data())
def test_from_any_point_on_states_are_those_of_the_history(database: Database, data: st.DataObject) -> None:
    """Whenever a tracker begins, whatever it knows by then, and however its changes come in batches."""
    begin = data.draw(st.integers(0, len(database.log)), "begin")
    limit = data.draw(st.integers(1, 3), "limit")
    tracker, told = Tracker(limit), []
    changes = database.log[begin:]
    while changes:
        size = data.draw(st.integers(1, len(changes)), "batch")
        batch, changes = changes[:size], changes[size:]
        # A read sees the changes of the batch, and perhaps later ones.
        later = data.draw(st.integers(0, len(changes)), "later changes that a read sees")
        seen = states_of_log(database, len(database.log) - len(changes) + later)
        tracker.learn(seen[each] for each in tracker.unknown(batch))
        told += tracker.states(batch)

    history = states_of(database)
    positions = [at for _, at in told]
    assert positions == sorted(set(positions))
    for state, at in told:
        change = next(each for each in database.log if each.position == at)
        # Each state is exactly that after the change at its position.
        assert (change.job_id, change.revision) == (state.id, state.revision)
        assert state == history[state.id][state.revision - 1]
    # The last state of each job that has changed is told.
    last = {state.id: state for state, _ in told}
    assert last == {each.job_id: database.jobs[each.job_id] for each in database.log[begin:]}


def states_of_log(database: Database, length: int) -> dict[UUID, Job]:
    """The jobs after the first changes of the log."""
    part = Database()
    part.log = database.log[:length]
    return {job_id: states[-1] for job_id, states in states_of(part).items()}


@given(histories())
def test_what_was_seen_from_the_begin_needs_no_read(database: Database) -> None:
    tracker = Tracker()

    told = []
    for change in database.log:
        if Status.COMPLETED not in {each.status for each in states_before(database, change)}:
            assert tracker.unknown([change]) == []
            told += tracker.states([change])
    assert len(told) == len({at for _, at in told})


def states_before(database: Database, change: JobChange) -> list[Job]:
    return states_of(database)[change.job_id][: change.revision - 1]


def test_a_change_that_comes_again_has_no_effect() -> None:
    database = Database()
    database.create(job(1))
    database.change(job(1).id, status=Status.PROCESSING)
    tracker = Tracker()

    assert len(tracker.states(database.log)) == 2
    assert tracker.unknown(database.log) == []
    assert tracker.states(database.log) == []


def test_a_change_that_is_not_complete_needs_a_read() -> None:
    database = Database()
    database.create(job(1))
    tracker = Tracker()
    tracker.states(database.log)
    change = JobChange(job(1).id, 2, position(2), {}, is_complete=False)

    assert tracker.unknown([change]) == [job(1).id]
    tracker.learn([replace(job(1), revision=2, losses=7)])
    assert [(state.losses, at) for state, at in tracker.states([change])] == [(7, position(2))]


def test_a_gap_needs_a_read() -> None:
    database = Database()
    database.create(job(1))
    tracker = Tracker()
    tracker.states(database.log)

    assert tracker.unknown([JobChange(job(1).id, 3, position(3), {"revision": 3})]) == [job(1).id]


def test_a_job_that_is_gone_has_no_state() -> None:
    tracker = Tracker()
    change = JobChange(job(1).id, 2, position(2), {"revision": 2})

    assert tracker.unknown([change]) == [job(1).id]
    tracker.learn([])
    assert tracker.states([change]) == []


def test_jobs_that_have_ended_and_the_oldest_beyond_the_limit_are_forgotten() -> None:
    database = Database()
    tracker = Tracker(2)
    for number in (1, 2, 3):
        database.create(job(number))
    database.change(job(2).id, status=Status.FAILED)
    tracker.states(database.log)

    assert list(tracker._known) == [job(1).id, job(3).id]
    tracker.states([database.log[0], *[replace(database.log[0], job_id=job(4).id, values=vars_of(4))]])
    assert list(tracker._known) == [job(3).id, job(4).id]


def vars_of(number: int) -> dict[str, Any]:
    """What the creation of a job sets."""
    other = Database()
    other.create(job(number))
    return dict(other.log[0].values)


def test_a_state_that_was_read_anyway_replaces_no_other() -> None:
    database = Database()
    database.create(job(1))
    tracker = Tracker()
    tracker.states(database.log)
    for status in (Status.PROCESSING, Status.QUEUED):
        database.change(job(1).id, status=status)

    tracker.learn_if_unknown(summary(database.jobs[job(1).id]))

    assert [state.revision for state, _ in tracker.states(database.log[1:])] == [2, 3]
