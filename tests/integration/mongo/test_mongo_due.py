"""Recovery by due_time, and the leader's lease, on a real mongod."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from api_server.adapters.mongo.due import MAX_PAYLOAD, MongoLeaderLease
from api_server.adapters.mongo.stores import MongoStores
from api_server.adapters.mongo.writes import Writes
from api_server.domain.job import Dispatch
from api_server.domain.record_positions import RecordPosition
from api_server.domain.retry import RetryPolicy
from api_server.domain.transitions import claim, release
from api_server.ports import Published
from api_server.recovery.ports import DueJob
from tests.integration.mongo.jobs import (
    LEASE,
    WORKER,
    document,
    insert,
    new_job,
    now,
    set_fields,
    stored,
)

SECOND = timedelta(seconds=1)


def published(*job_ids: UUID, attempt: int = 0) -> list[Published]:
    """Positions in partition 3, one after another."""
    return [
        Published(job_id, attempt, RecordPosition(3, offset, 77)) for offset, job_id in enumerate(job_ids)
    ]


async def test_due_jobs_of_a_type_are_ordered_by_due_time(empty_stores: MongoStores) -> None:
    time = now()
    jobs = [new_job("file", {"path": str(i)}) for i in range(4)]
    for job, age in zip(jobs, [1, 3, 2, -1], strict=True):
        await insert(empty_stores, job, time - age * SECOND)
    await insert(empty_stores, new_job("data"), time - SECOND)
    assert await empty_stores.due.due("file", time, 10) == [
        DueJob(Dispatch(jobs[i].id, "file", 0, jobs[i].payload), None, time - age * SECOND)
        for i, age in ((1, 3), (2, 2), (0, 1))
    ]
    assert [each.dispatch.job_id for each in await empty_stores.due.due("file", time, 1)] == [jobs[1].id]
    later = await empty_stores.due.due("file", time, 10, after=time - 2 * SECOND)
    assert [each.dispatch.job_id for each in later] == [jobs[0].id]


async def test_a_due_job_has_its_labels_and_its_number_of_tries(empty_stores: MongoStores) -> None:
    job = replace(new_job("file"), labels={"team": "a=b"}, retry_policy=RetryPolicy(7))
    await insert(empty_stores, job, now() - SECOND)
    [found] = await empty_stores.due.due("file", now(), 10)
    assert found.dispatch == Dispatch.of(job)
    assert (found.dispatch.labels, found.dispatch.max_attempts) == ({"team": "a=b"}, 7)


async def test_claimed_jobs_are_not_due(empty_stores: MongoStores) -> None:
    await stored(empty_stores, "processing")
    await stored(empty_stores, "completed")
    assert await empty_stores.due.due("compute", now() + timedelta(hours=2), 10) == []
    assert not await empty_stores.due.has_due(["compute"], now() + timedelta(hours=2))


async def test_whether_a_job_of_some_types_is_due(empty_stores: MongoStores) -> None:
    time = now()
    await insert(empty_stores, new_job("file"), time)
    for at, types, expected in (
        (time, ["compute", "file"], True),
        (time, ["compute", "data"], False),
        (time - timedelta(milliseconds=1), ["compute", "file"], False),
    ):
        assert await empty_stores.due.has_due(types, at) is expected


async def test_a_payload_that_is_too_large_is_not_read(empty_stores: MongoStores) -> None:
    large, small = {"text": "x" * MAX_PAYLOAD}, {"text": "x" * (MAX_PAYLOAD - 100)}
    for payload in (large, small):
        await insert(empty_stores, new_job(payload=payload), now())
    due = await empty_stores.due.due("compute", now() + SECOND, 10)
    assert {each.dispatch.payload is None for each in due} == {True, False}


async def test_the_largest_payloads_cut_a_batch_short_but_not_below_a_hundred(
    empty_stores: MongoStores,
) -> None:
    payload = {"text": "x" * (MAX_PAYLOAD - 100)}
    for _ in range(150):
        await insert(empty_stores, new_job(payload=payload), now())
    assert 100 <= len(await empty_stores.due.due("compute", now() + SECOND, 500)) < 150


async def test_a_backlog_of_one_type_costs_another_type_nothing(empty_stores: MongoStores) -> None:
    time = now()
    backlog = [{"_id": uuid4(), "status": "queued", "type": "file", "due_time": time} for _ in range(3000)]
    await empty_stores.jobs._jobs.insert_many(backlog)
    job = await stored(empty_stores)
    assert [each.dispatch.job_id for each in await empty_stores.due.due("compute", now(), 10)] == [job.id]
    where = {"status": "queued", "type": "compute", "due_time": {"$lte": now()}}
    plan = await empty_stores.jobs._jobs.find(where).sort("due_time", 1).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 1
    assert plan["executionStats"]["totalKeysExamined"] <= 2


async def test_no_more_leases_are_ended_than_the_limit(empty_stores: MongoStores) -> None:
    for job_type in ("compute", "data", "data"):
        await stored(empty_stores, "processing", job_type=job_type)
    time = now() + timedelta(minutes=1)
    assert [(await empty_stores.due.expire_leases(time, 2)).count for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize(("dispatches", "seconds"), [(0, 60), (1, 120), (5, 1920), (6, 3600), (500, 3600)])
async def test_each_publishing_doubles_the_wait_up_to_an_hour(
    stores: MongoStores, dispatches: int, seconds: int
) -> None:
    time = now()
    ids = [(await stored(stores)).id for _ in range(8)]
    for job_id in ids:
        await set_fields(stores, job_id, {"$set": {"dispatches": dispatches}})
    await stores.due.mark_published(published(*ids), time)
    marked = [await document(stores, job_id) for job_id in ids]
    waits = [(each["due_time"] - time) / timedelta(seconds=seconds) for each in marked]
    assert all(0.75 <= wait <= 1.25 for wait in waits)
    assert len(set(waits)) > 1
    assert {each["dispatches"] for each in marked} == {dispatches + 1}
    assert {each["revision"] for each in marked} == {1}


async def test_each_marked_job_has_its_own_position(stores: MongoStores) -> None:
    job_type = f"t-{uuid4().hex[:12]}"
    jobs = [await stored(stores, job_type=job_type) for _ in range(3)]
    far = RecordPosition(999, 2**40, 1_800_000_000_000)
    await stores.due.mark_published(
        [*published(*(job.id for job in jobs[:2])), Published(jobs[2].id, 0, far)], now()
    )
    due = await stores.due.due(job_type, now() + timedelta(hours=1), 10)
    assert {each.dispatch.job_id: each.position for each in due} == {
        jobs[0].id: RecordPosition(3, 0, 77),
        jobs[1].id: RecordPosition(3, 1, 77),
        jobs[2].id: far,
    }


async def test_a_later_position_replaces_the_earlier_one(stores: MongoStores) -> None:
    job, time = await stored(stores), now()
    await stores.due.mark_published(published(job.id), time)
    later = time + timedelta(hours=1)
    await stores.due.mark_published([Published(job.id, 0, RecordPosition(0, 9, 78))], later)
    assert (await document(stores, job.id))["record"] == {"partition": 0, "offset": 9, "time": 78}


async def test_marking_twice_in_a_row_counts_once(stores: MongoStores) -> None:
    job, time = await stored(stores), now()
    await stores.due.mark_published(published(job.id), time)
    once = await document(stores, job.id)
    await stores.due.mark_published(published(job.id), time)
    assert await document(stores, job.id) == once


async def test_marking_does_not_change_jobs_that_were_claimed_meanwhile(stores: MongoStores) -> None:
    claimed = await stored(stores, "processing")
    again = await stored(stores, "processing")
    await stores.jobs.apply([release(again.id, WORKER, 1, now())])
    before = [await document(stores, job.id) for job in (claimed, again)]
    await stores.due.mark_published(published(claimed.id, again.id, uuid4()), now())
    assert [await document(stores, job.id) for job in (claimed, again)] == before
    await stores.due.mark_published([*published(claimed.id), *published(again.id, attempt=1)], now())
    assert (await document(stores, again.id))["dispatches"] == 1


async def test_a_claim_removes_the_records_that_were_published_before(stores: MongoStores) -> None:
    job = await stored(stores)
    await stores.due.mark_published(published(job.id), now())
    await stores.jobs.apply([claim(job.id, WORKER, 0, now(), LEASE)])
    assert not {"dispatches", "record"} & set(await document(stores, job.id))


async def test_one_of_many_servers_gets_the_lease_and_keeps_it(empty_stores: MongoStores) -> None:
    lease, holders = empty_stores.due_lease, [f"server-{i}" for i in range(10)]
    got = await asyncio.gather(*(lease.acquire(holder, 30) for holder in holders))
    assert got.count(True) == 1
    assert await asyncio.gather(*(lease.acquire(holder, 30) for holder in holders)) == got


async def test_a_lease_that_ended_or_was_released_goes_to_the_next_server(empty_stores: MongoStores) -> None:
    lease = empty_stores.due_lease
    assert await lease.acquire("a", 0)
    assert await lease.acquire("b", 30)
    await lease.release("a")
    assert not await lease.acquire("a", 30)
    await lease.release("b")
    assert await lease.acquire("$name", 30)
    assert not await lease.acquire("b", 30)


async def test_leases_of_different_names_are_independent(empty_stores: MongoStores) -> None:
    other = MongoLeaderLease(empty_stores.due_lease._leases, "other", Writes())
    assert await empty_stores.due_lease.acquire("a", 30)
    assert await other.acquire("b", 30)


async def test_a_leaders_lease_that_was_given_by_a_clock_far_ahead_is_free(empty_stores: MongoStores) -> None:
    lease = empty_stores.due_lease
    assert await lease.acquire("first", 5.0)
    await lease._leases.update_one({}, [{"$set": {"expire_time": {"$add": ["$$NOW", 9_000]}}}])
    assert not await lease.acquire("second", 5.0)
    await lease._leases.update_one({}, [{"$set": {"expire_time": {"$add": ["$$NOW", 60_000]}}}])
    assert await lease.acquire("second", 5.0)
