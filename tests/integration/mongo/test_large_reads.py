"""Many callers read large jobs at once: few of these are in memory at a time, and small jobs do not wait for
them.
"""

import asyncio
from uuid import UUID

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import ReadsOverloaded
from api_server.domain.job import Job
from api_server.services.job_groups import LARGE_AT_A_TIME, JobGroups
from api_server.services.read_room import ReadRoom
from api_server.services.ready_jobs import ReadyJobs
from tests.integration.mongo.jobs import stored
from tests.integration.mongo.services import Offered
from tests.waiting import until

DEADLINE = 60.0
MANY = 12
"""Together larger than one read may be."""


class Readers:
    """Callers that read one job each, and keep it until the test releases it."""

    def __init__(self, stores: MongoStores, wait_seconds: float = DEADLINE) -> None:
        self.groups = JobGroups(stores.jobs, ReadyJobs(Offered(), stores.clock))
        self.groups._large = ReadRoom(LARGE_AT_A_TIME, wait_seconds=wait_seconds)
        self.end = asyncio.Event()
        self.kept: list[UUID] = []
        self.most_kept = 0

    async def read(self, job_id: UUID) -> Job | None:
        async with self.groups.reading(job_id) as job:
            return await self._keep(job)

    async def _keep(self, job: Job | None) -> Job | None:
        if job is not None and "text" in job.payload:
            self.kept.append(job.id)
            self.most_kept = max(self.most_kept, len(self.kept))
            await self.end.wait()
            self.kept.remove(job.id)
        return job


async def test_few_large_jobs_are_in_memory_at_a_time_and_small_ones_do_not_wait(stores: MongoStores) -> None:
    large = [await stored(stores, payload={"text": "x" * 900_000}) for _ in range(MANY)]
    small = [await stored(stores) for _ in range(MANY)]
    readers = Readers(stores)

    reading = [asyncio.create_task(readers.read(job.id)) for job in large]
    async with asyncio.timeout(DEADLINE):
        assert await asyncio.gather(*(readers.read(job.id) for job in small)) == small
        assert await readers.read(UUID(int=7)) is None
        await until(lambda: len(readers.kept) >= LARGE_AT_A_TIME)
        readers.end.set()
        assert await asyncio.gather(*reading) == large
    assert readers.most_kept == LARGE_AT_A_TIME


async def test_jobs_that_are_read_together_are_not_confused_with_missing_ones(stores: MongoStores) -> None:
    large = [await stored(stores, payload={"text": "x" * 900_000}) for _ in range(MANY)]
    small = [await stored(stores) for _ in range(3)]
    readers = Readers(stores)
    readers.end.set()
    wanted = [large[0].id, small[0].id, UUID(int=7), *(job.id for job in large[1:]), small[1].id, small[2].id]

    found = await asyncio.gather(*(readers.read(job_id) for job_id in wanted))

    assert found == [large[0], small[0], None, *large[1:], *small[1:]]


async def test_a_caller_that_fails_or_is_cancelled_makes_room_for_the_next(stores: MongoStores) -> None:
    large = [await stored(stores, payload={"text": "x" * 900_000}) for _ in range(2 * LARGE_AT_A_TIME)]
    readers = Readers(stores)
    leaving = [asyncio.create_task(readers.read(job.id)) for job in large]
    async with asyncio.timeout(DEADLINE):
        await until(lambda: len(readers.kept) >= LARGE_AT_A_TIME)
        for task in leaving:
            task.cancel()
        await asyncio.wait(leaving)
        readers.kept.clear()
        readers.end.set()
        assert await readers.read(large[0].id) == large[0]


async def test_a_large_job_that_gets_no_turn_is_refused_and_small_ones_are_read(stores: MongoStores) -> None:
    large = [await stored(stores, payload={"text": "x" * 900_000}) for _ in range(LARGE_AT_A_TIME + 1)]
    small = await stored(stores)
    readers = Readers(stores, wait_seconds=0.01)
    reading = [asyncio.create_task(readers.read(job.id)) for job in large[:-1]]
    async with asyncio.timeout(DEADLINE):
        await until(lambda: len(readers.kept) >= LARGE_AT_A_TIME)
        with pytest.raises(ReadsOverloaded):
            await readers.read(large[-1].id)
        assert await readers.read(small.id) == small
        readers.end.set()
        await asyncio.gather(*reading)
        assert await readers.read(large[-1].id) == large[-1]
