"""A wait returns when its job has ended, and looks at the database as rarely as possible."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from api_server.domain.errors import JobNotFound, StoreUnavailable
from api_server.domain.job import TERMINAL, Job, Status
from api_server.feed.demand import Demand
from api_server.feed.waits import Waits
from api_server.services.job_groups import LARGE
from api_server.services.job_waits import JobWaits

JOB = UUID(int=1)
LONG = 60.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Statuses:
    """A store whose jobs have a status, and which counts how often it is asked."""

    def __init__(self, status: Status | None = Status.QUEUED) -> None:
        self.status = status
        self.looks = 0
        self.fails = False

    async def summaries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Job]:
        self.looks += 1
        if self.fails:
            raise StoreUnavailable
        if self.status is None:
            return {}
        return {each: Job(each, "compute", self.status, {}, NOW, NOW) for each in job_ids}


def make(store: Statuses, longest: float = LONG) -> tuple[JobWaits, Waits]:
    waits = Waits(9, Demand())
    return JobWaits(cast("Any", store), waits, longest), waits


@pytest.mark.parametrize("status", sorted(TERMINAL))
async def test_a_job_that_has_ended_is_not_waited_for(status: Status) -> None:
    store = Statuses(status)
    job_waits, _ = make(store)

    await job_waits.until_ended(JOB, LONG)

    assert store.looks == 1


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
async def test_it_looks_once_and_then_waits_to_be_told(status: Status) -> None:
    store = Statuses(status)
    job_waits, waits = make(store)
    waiting = asyncio.create_task(job_waits.until_ended(JOB, LONG))
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()

    waits.ended(JOB)
    await waiting

    assert store.looks == 1


@pytest.mark.parametrize(("size", "is_answered"), [(LARGE, True), (LARGE + 1, False)])
async def test_the_answer_is_the_ended_job_if_it_is_known_and_small(size: int, is_answered: bool) -> None:
    job_waits, waits = make(Statuses())
    waiting = asyncio.create_task(job_waits.until_ended(JOB, LONG))
    await asyncio.wait([waiting], timeout=0.02)
    ended = Job(JOB, "compute", Status.COMPLETED, {}, NOW, NOW, stored_size=size)

    waits.ended(JOB, ended)

    assert await waiting == (ended if is_answered else None)


async def test_the_wait_for_a_new_job_needs_no_look() -> None:
    store = Statuses()
    job_waits, waits = make(store)
    waiting = asyncio.create_task(job_waits.until_ended(JOB, LONG, job_waits.position))
    await asyncio.wait([waiting], timeout=0.02)
    assert not waiting.done()

    waits.ended(JOB)
    await waiting

    assert store.looks == 0


@pytest.mark.parametrize(
    "learn", [lambda waits: waits.ended(JOB), Waits.look, Waits.advance], ids=["ended", "look", "advance"]
)
async def test_an_end_after_the_job_was_stored_and_before_the_wait_is_not_missed(
    learn: Callable[[Waits], None],
) -> None:
    store = Statuses(Status.COMPLETED)
    job_waits, waits = make(store)
    position = job_waits.position
    learn(waits)

    await job_waits.until_ended(JOB, LONG, position)

    assert store.looks == 1


async def test_an_end_between_the_look_and_the_wait_is_not_missed() -> None:
    class EndsMeanwhile(Statuses):
        async def summaries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Job]:
            found = await super().summaries(job_ids)
            waits.ended(JOB)
            return found

    job_waits, waits = make(EndsMeanwhile())

    await job_waits.until_ended(JOB, LONG)


async def test_it_looks_again_when_the_end_may_have_been_missed() -> None:
    store = Statuses()
    job_waits, waits = make(store)
    waiting = asyncio.create_task(job_waits.until_ended(JOB, LONG))
    await asyncio.wait([waiting], timeout=0.02)
    waits.look()
    await asyncio.wait([waiting], timeout=0.02)
    assert (waiting.done(), store.looks) == (False, 2)

    store.status = Status.FAILED
    waits.look()
    await waiting

    assert store.looks == 3


@pytest.mark.parametrize(("seconds", "longest"), [(0.0, LONG), (0.02, LONG), (LONG, 0.02)])
async def test_it_returns_when_the_time_is_over(seconds: float, longest: float) -> None:
    job_waits, _ = make(Statuses(), longest)

    async with asyncio.timeout(LONG / 2):
        await job_waits.until_ended(JOB, seconds)


async def test_it_returns_when_the_server_stops() -> None:
    job_waits, waits = make(Statuses())
    waits.close()

    await job_waits.until_ended(JOB, LONG)


async def test_a_job_that_does_not_exist_is_an_error() -> None:
    job_waits, _ = make(Statuses(None))

    with pytest.raises(JobNotFound):
        await job_waits.until_ended(JOB, LONG)


async def test_waits_that_begin_together_share_a_look() -> None:
    store = Statuses(Status.COMPLETED)
    job_waits, _ = make(store)

    await asyncio.gather(*(job_waits.until_ended(UUID(int=number), LONG) for number in range(100)))

    assert store.looks <= 3


async def test_a_wait_that_fails_or_is_cancelled_leaves_nothing_behind() -> None:
    store = Statuses()
    job_waits, waits = make(store)
    waiting = asyncio.create_task(job_waits.until_ended(JOB, LONG))
    await asyncio.wait([waiting], timeout=0.02)
    waiting.cancel()
    await asyncio.wait([waiting])
    store.fails = True
    with pytest.raises(StoreUnavailable):
        await job_waits.until_ended(JOB, LONG)

    assert not waits._waits
