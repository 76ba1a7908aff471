"""Logs of jobs, on a real mongod."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from api_server.adapters.mongo.job_logs import AT_ONCE
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import JobNotFound
from api_server.domain.job_log import MAX_ENTRIES, AttemptLog, EntryKind, JobLog, LogEntry, LogPlace
from api_server.domain.transitions import cancel, claim, release, retry
from api_server.services.job_logs import JobLogs, LogSweep
from job_client._gen.jobs.v1.job_service_pb2 import DeleteRequest
from tests.integration.mongo.jobs import LEASE, WORKER, insert, new_job, now, stored
from tests.integration.mongo.services import servicer

HUGE = "x" * 16_000
PLACES = ((0, 0), (0, 3), (0, 4), (1, 1), (2, 0))
"""Which job's log, and after which entry."""


def of_attempt(
    job_id: UUID, *numbers: int, attempt: int = 1, message: str = "hello", kind: EntryKind = EntryKind.LINE
) -> AttemptLog:
    entries = [LogEntry(number, now(), kind, attempt, WORKER, "info", "app", message) for number in numbers]
    return AttemptLog(job_id, attempt, entries)


async def read(stores: MongoStores, job_id: UUID) -> JobLog:
    log = await stores.job_logs.read(job_id)
    assert log is not None
    return log


async def numbers(stores: MongoStores, job_id: UUID) -> list[int]:
    return [entry.number for entry in (await read(stores, job_id)).entries]


async def test_entries_are_read_as_they_were_appended(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    new = of_attempt(job.id, 1, 2, message="a.b $x \0 é")
    trace = of_attempt(job.id, 3, kind=EntryKind.TRACE)
    await stores.job_logs.append(WORKER, [new])
    await stores.job_logs.append(WORKER, [trace])
    log = await read(stores, job.id)
    assert list(log.entries) == [*new.entries, *trace.entries]
    assert log.dropped == 0


async def test_a_job_that_has_logged_nothing_has_an_empty_log(stores: MongoStores) -> None:
    job = await stored(stores)
    assert await read(stores, job.id) == JobLog()
    assert await stores.job_logs.read(uuid4()) is None
    with pytest.raises(JobNotFound):
        await JobLogs(stores.job_logs).read(uuid4())


async def test_entries_after_several_places_are_read_together(stores: MongoStores) -> None:
    jobs = [await stored(stores, "processing") for _ in range(3)]
    for job, count in zip(jobs, (4, 2, 0), strict=True):
        await stores.job_logs.append(WORKER, [of_attempt(job.id, *range(1, count + 1))])
    places = [LogPlace(jobs[index].id, jobs[index].create_time, number) for index, number in PLACES]
    found = await stores.job_logs.entries_after(
        [*places, replace(places[0], create_time=now()), replace(places[0], job_id=uuid4())]
    )
    assert [[entry.number for entry in entries] for entries in found] == [
        [1, 2, 3, 4],
        [4],
        [],
        [2],
        [],
        [],
        [],
    ]
    assert found[0] == (await read(stores, jobs[0].id)).entries


async def test_the_same_call_again_changes_nothing(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    new = of_attempt(job.id, 1, 2)
    await stores.job_logs.append(WORKER, [new])
    log = await read(stores, job.id)
    await stores.job_logs.append(WORKER, [new])
    assert await read(stores, job.id) == log


async def test_calls_at_the_same_time_lose_nothing(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    calls = [of_attempt(job.id, *range(1, count + 1)) for count in (3, 5, 10, 20)]
    await asyncio.gather(*(stores.job_logs.append(WORKER, [each]) for each in calls))
    assert await numbers(stores, job.id) == list(range(1, 21))


async def test_a_call_with_more_logs_than_are_handled_at_once(stores: MongoStores) -> None:
    jobs = [await stored(stores, "processing") for _ in range(AT_ONCE + 1)]
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1, message=HUGE) for job in jobs])
    for job in jobs:
        assert await numbers(stores, job.id) == [1]


async def test_the_log_of_a_job_is_limited(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await stores.job_logs.append(WORKER, [of_attempt(job.id, *range(1, MAX_ENTRIES + 1))])
    await stores.job_logs.append(WORKER, [of_attempt(job.id, MAX_ENTRIES + 1)])
    log = await read(stores, job.id)
    assert (len(log.entries), log.dropped) == (MAX_ENTRIES, 1)


async def test_the_log_of_a_job_that_does_not_exist_is_ignored(stores: MongoStores) -> None:
    absent, job = uuid4(), await stored(stores, "processing")
    await stores.job_logs.append(WORKER, [of_attempt(absent, 1), of_attempt(job.id, 1)])
    assert await stores.job_logs.read(absent) is None
    assert await stores.job_logs._logs.find_one({"_id": absent}) is None
    assert await numbers(stores, job.id) == [1]


async def test_only_the_holder_can_log(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await stores.job_logs.append("another/1", [of_attempt(job.id, 1)])
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1, attempt=2)])
    assert await numbers(stores, job.id) == []
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1)])
    assert await numbers(stores, job.id) == [1]


async def test_the_log_goes_on_over_attempts_and_a_late_one_is_ignored(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1, 2)])
    await stores.jobs.apply([release(job.id, WORKER, 1, now())])
    # The last lines of an attempt may arrive after its report.
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 3)])
    await stores.jobs.apply([claim(job.id, "other/1", 1, now(), LEASE)])
    await stores.job_logs.append("other/1", [of_attempt(job.id, 1, attempt=2)])
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 4)])
    assert [(each.attempt, each.number) for each in (await read(stores, job.id)).entries] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 4),
    ]


async def test_two_attempts_in_one_call(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await stores.jobs.apply(
        [
            release(job.id, WORKER, 1, now()),
        ]
    )
    await stores.jobs.apply([claim(job.id, WORKER, 1, now(), LEASE)])
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1, attempt=2), of_attempt(job.id, 1)])
    assert [(each.attempt, each.number) for each in (await read(stores, job.id)).entries] == [(1, 1), (2, 2)]


async def test_retry_keeps_the_log(stores: MongoStores) -> None:
    job = await stored(stores, "failed")
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1)])
    await stores.jobs.apply([retry(job.id, "call", now())])
    assert await numbers(stores, job.id) == [1]


async def test_delete_deletes_the_log_too(stores: MongoStores) -> None:
    job = await stored(stores, "completed")
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1)])
    await servicer(stores).Delete(DeleteRequest(id=str(job.id)), None)
    assert await stores.job_logs._logs.find_one({"_id": job.id}) is None


async def test_a_job_created_again_does_not_get_the_former_log(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1, 2)])
    await stores.jobs.apply([cancel(job.id, "c", "", now())])
    await stores.jobs.delete(job.id)
    later = now() + timedelta(seconds=1)
    again = replace(new_job(), id=job.id, create_time=later, update_time=later)
    await insert(stores, again, later)
    assert await numbers(stores, job.id) == []
    await stores.jobs.apply([claim(job.id, WORKER, 0, now(), LEASE)])
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1)])
    assert await numbers(stores, job.id) == [1]


async def test_the_sweep_deletes_the_logs_of_jobs_that_are_gone_and_no_other(
    empty_stores: MongoStores,
) -> None:
    """As when JOB_RETENTION has deleted jobs: only the jobs are gone."""
    stores = empty_stores
    jobs = [await stored(stores, "completed") for _ in range(5)]
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1) for job in jobs])
    gone = {jobs[index].id for index in (0, 2, 4)}
    for job_id in gone:
        await stores.jobs.delete(job_id)
    after, rounds = None, 0
    while rounds == 0 or after is not None:
        after = await stores.job_logs.delete_orphans(after, 2)
        rounds += 1
    assert rounds == 3
    left = {document["_id"] async for document in stores.job_logs._logs.find({}, {"_id": 1})}
    assert left == {job.id for job in jobs} - gone


async def test_only_the_leader_sweeps(empty_stores: MongoStores) -> None:
    stores = empty_stores
    job = await stored(stores, "completed")
    await stores.job_logs.append(WORKER, [of_attempt(job.id, 1)])
    await stores.jobs.delete(job.id)
    await LogSweep(stores.job_logs, lambda: False).step()
    assert await stores.job_logs._logs.count_documents({}) == 1
    await LogSweep(stores.job_logs, lambda: True).step()
    assert await stores.job_logs._logs.count_documents({}) == 0
