"""Waits learn which jobs the transitions of their own process have ended."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from api_server.domain.errors import JobNotFound
from api_server.domain.job import Job, Status
from api_server.domain.resolution import Applied
from api_server.domain.transition import Change, Guard, Transition
from api_server.feed.demand import Demand
from api_server.feed.told_jobs import ToldJobs
from api_server.feed.waits import Waits

AWAITED, OTHER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG = 1e9


class Store:
    """Applies each transition, and returns the jobs that are wanted."""

    def __init__(self, *, is_there: bool = True) -> None:
        self.wanted: Collection[UUID] = ()
        self._is_there = is_there

    async def apply(self, transitions: Sequence[Transition], wanted: Collection[UUID] = ()) -> list[Any]:
        self.wanted = wanted
        return [self._outcome(each, wanted) for each in transitions]

    def _outcome(self, transition: Transition, wanted: Collection[UUID]) -> Applied | JobNotFound:
        if not self._is_there:
            return JobNotFound(transition.job_id)
        status = transition.change.status
        job = Job(transition.job_id, "compute", status, {}, NOW, NOW)
        return Applied(status, 1, job=job if job.id in wanted else None)


def to(status: Status, job_id: UUID) -> Transition:
    return Transition(job_id, Guard((Status.PROCESSING,)), Change(status, NOW, None))


def make(store: Store) -> tuple[ToldJobs, Waits]:
    waits = Waits(9, Demand())
    return ToldJobs(cast("Any", store), waits), waits


async def test_the_wait_of_a_job_gets_the_job_as_it_ended_from_the_write_itself() -> None:
    store = Store()
    jobs, waits = make(store)
    with waits.on(AWAITED, LONG) as wait:
        await jobs.apply([to(Status.COMPLETED, AWAITED), to(Status.COMPLETED, OTHER)])

        assert wait.ended_job is not None
        assert wait.ended_job.id == AWAITED
    assert store.wanted == {AWAITED}


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.QUEUED])
async def test_a_job_that_goes_on_is_neither_wanted_nor_told(status: Status) -> None:
    store = Store()
    jobs, waits = make(store)
    with waits.on(AWAITED, LONG) as wait:
        await jobs.apply([to(status, AWAITED)])

        assert not wait._notice.done()
    assert not store.wanted


async def test_a_transition_that_was_refused_ends_no_wait() -> None:
    jobs, waits = make(Store(is_there=False))
    with waits.on(AWAITED, LONG) as wait:
        await jobs.apply([to(Status.COMPLETED, AWAITED)])

        assert not wait._notice.done()
