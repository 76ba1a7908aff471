"""Workers that are lost and jobs that expire, on a real mongod."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.attempt import Attempt, Outcome
from api_server.domain.errors import TransitionRefused
from api_server.domain.job import Job, Status
from api_server.domain.record_positions import RecordPosition
from api_server.domain.resolution import Applied
from api_server.domain.transitions import EXPIRED, POISON, claim, complete, end_solitude, retry
from api_server.ports import EndedLeases, Published
from tests.integration.mongo.jobs import (
    LEASE,
    WORKER,
    document,
    insert,
    new_job,
    now,
    read,
    set_fields,
    stored,
)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


async def lose(stores: MongoStores, job: Job, time: datetime, by: str) -> Job:
    """Lose the job's worker: its lease ends, or a successor has its name. The job after that."""
    if by == "expire_lease":
        assert (await stores.due.expire_leases(time, 10)).count == 1
    else:
        assert (await stores.jobs.release_all(job.worker_id, time)).count == 1
    return await read(stores, job.id)


@pytest.mark.parametrize("by", ["expire_lease", "release_all"])
async def test_a_lost_job_is_queued_again_due_at_once_with_its_attempt_in_the_history(
    empty_stores: MongoStores, by: str
) -> None:
    job = await stored(empty_stores, "processing")
    await set_fields(empty_stores, job.id, {"$set": {"dispatches": 3, "record": {"offset": 7}}})
    time = now() + MINUTE
    assert job.start_time is not None
    assert await lose(empty_stores, job, time, by) == replace(
        job,
        status=Status.QUEUED,
        worker_id="",
        losses=1,
        past=(Attempt(1, WORKER, job.start_time, time, Outcome.LOST),),
        revision=job.revision + 1,
        update_time=time,
    )
    after = await document(empty_stores, job.id)
    assert after["due_time"] == time
    assert not {"worker_id", "dispatches", "record"} & set(after)


async def test_an_unfenced_job_is_queued_again_and_counts_no_loss(empty_stores: MongoStores) -> None:
    job = await stored(empty_stores, "claimed_unfenced")
    time = now() + MINUTE
    assert (await empty_stores.due.expire_leases(time, 10)).count == 1
    after = await read(empty_stores, job.id)
    assert (after.status, after.losses, after.claim_id) == (Status.QUEUED, 0, "")
    assert [(each.number, each.worker_id, each.outcome) for each in after.history] == [(1, "", Outcome.LOST)]


@pytest.mark.parametrize("by", ["expire_lease", "release_all"])
@pytest.mark.parametrize(
    ("alone", "lone_losses", "status"),
    [(True, 1, Status.QUEUED), (True, 2, Status.FAILED), (False, 2, Status.QUEUED)],
)
async def test_a_job_fails_as_poison_at_the_third_loss_of_a_worker_that_held_only_this_job(
    empty_stores: MongoStores, by: str, alone: bool, lone_losses: int, status: Status
) -> None:
    job = await stored(empty_stores)
    await empty_stores.jobs.apply([claim(job.id, WORKER, 0, now(), LEASE, alone=alone)])
    await set_fields(empty_stores, job.id, {"$set": {"losses": 7, "lone_losses": lone_losses}})
    time = now() + MINUTE
    after = await lose(empty_stores, await read(empty_stores, job.id), time, by)
    assert (after.status, after.losses, after.lone_losses) == (status, 8, lone_losses + alone)
    assert after.history[-1].outcome is Outcome.LOST
    if status is Status.FAILED:
        assert (after.error, after.end_time, after.worker_id) == (POISON, time, WORKER)
        assert "due_time" not in await document(empty_stores, job.id)
    else:
        assert after.error is None
        assert "alone" not in await document(empty_stores, job.id)


async def test_a_lone_job_fails_after_three_lost_workers_and_retry_allows_three_more(
    empty_stores: MongoStores,
) -> None:
    job = await stored(empty_stores)
    for attempt in range(3):
        assert (await read(empty_stores, job.id)).status is Status.QUEUED
        await empty_stores.jobs.apply([claim(job.id, f"w/{attempt}", attempt, now(), LEASE, alone=True)])
        ended = await empty_stores.jobs.release_all(f"w/{attempt}", now())
        assert ended == EndedLeases(1, {"compute": 1} if attempt == 2 else {})
    poisoned = await read(empty_stores, job.id)
    assert (poisoned.status, poisoned.losses, poisoned.failures) == (Status.FAILED, 3, 0)
    assert [each.outcome for each in poisoned.history] == [Outcome.LOST] * 3
    await empty_stores.jobs.apply([retry(job.id, "retry-1", now())])
    again = await read(empty_stores, job.id)
    assert (again.status, again.losses, again.lone_losses) == (Status.QUEUED, 0, 0)
    assert again.history == poisoned.history
    assert not {"alone", "lone_losses"} & set(await document(empty_stores, job.id))


async def test_a_job_that_is_not_alone_any_more_counts_no_lone_loss(empty_stores: MongoStores) -> None:
    job = await stored(empty_stores)
    await set_fields(empty_stores, job.id, {"$set": {"lone_losses": 2}})
    await empty_stores.jobs.apply([claim(job.id, WORKER, 0, now(), LEASE, alone=True)])
    transition = end_solitude(job.id, WORKER, 1, now(), LEASE)
    for _ in range(2):
        assert await empty_stores.jobs.apply([transition]) == [Applied(Status.PROCESSING, 1)]
    # Only a heartbeat prolongs a lease again and again.
    later = end_solitude(job.id, WORKER, 1, now() + MINUTE, LEASE)
    lease_end = (await document(empty_stores, job.id))["due_time"]
    assert await empty_stores.jobs.apply([later]) == [Applied(Status.PROCESSING, 1)]
    assert (await document(empty_stores, job.id))["due_time"] == lease_end
    assert (await empty_stores.jobs.release_all(WORKER, now())).count == 1
    after = await read(empty_stores, job.id)
    assert (after.status, after.losses, after.lone_losses) == (Status.QUEUED, 1, 2)
    [refused] = await empty_stores.jobs.apply([transition])
    assert isinstance(refused, TransitionRefused)


async def test_only_leases_that_have_ended_expire(empty_stores: MongoStores) -> None:
    held, waiting = await stored(empty_stores, "processing"), await stored(empty_stores)
    time = now() + MINUTE
    await set_fields(empty_stores, held.id, {"$set": {"due_time": time}})
    assert (await empty_stores.due.expire_leases(time, 10)).count == 0
    assert await read(empty_stores, held.id) == held
    assert await read(empty_stores, waiting.id) == waiting
    assert (await empty_stores.due.expire_leases(time + timedelta(milliseconds=1), 10)).count == 1


async def test_leases_of_many_holders_expire_together(empty_stores: MongoStores) -> None:
    jobs = [await stored(empty_stores) for _ in range(12)]
    for index, job in enumerate(jobs):
        await empty_stores.jobs.apply([claim(job.id, f"w/{index % 6}", 0, now(), LEASE)])
    time = now() + MINUTE
    assert (await empty_stores.due.expire_leases(time, 100)).count == 12
    for index, job in enumerate(jobs):
        [attempt] = (await read(empty_stores, job.id)).history
        assert attempt.worker_id == f"w/{index % 6}"


async def test_only_jobs_of_the_lost_worker_are_released(empty_stores: MongoStores) -> None:
    mine = [await stored(empty_stores, "processing") for _ in range(3)]
    done, unfenced = await stored(empty_stores, "completed"), await stored(empty_stores, "claimed_unfenced")
    other = await stored(empty_stores)
    await empty_stores.jobs.apply([claim(other.id, "w/2", 0, now(), LEASE)])
    others = [done, unfenced, await read(empty_stores, other.id)]
    assert (await empty_stores.jobs.release_all(WORKER, now())).count == 3
    assert {(await read(empty_stores, job.id)).status for job in mine} == {Status.QUEUED}
    assert [await read(empty_stores, job.id) for job in others] == others
    assert (await empty_stores.jobs.release_all(WORKER, now())).count == 0


async def test_thousands_of_jobs_are_released_in_one_call(empty_stores: MongoStores) -> None:
    job = await stored(empty_stores, "processing")
    template = await document(empty_stores, job.id)
    many = [{**template, "_id": new_job().id} for _ in range(3000)]
    await empty_stores.jobs._jobs.insert_many(many)
    assert (await empty_stores.jobs.release_all(WORKER, now())).count == 3001
    assert await empty_stores.jobs._jobs.count_documents({"status": "queued", "losses": 1}) == 3001


async def test_either_a_report_or_a_concurrent_expiry_is_applied(empty_stores: MongoStores) -> None:
    jobs = [await stored(empty_stores, "processing") for _ in range(40)]
    time = now() + MINUTE
    reports = [complete(job.id, WORKER, 1, {}, time) for job in jobs]
    outcomes, ended = await asyncio.gather(
        asyncio.gather(*(empty_stores.jobs.apply([report]) for report in reports)),
        empty_stores.due.expire_leases(time, 100),
    )
    reported = 0
    for job, [outcome] in zip(jobs, outcomes, strict=True):
        after = await read(empty_stores, job.id)
        assert after.revision == job.revision + 1
        if isinstance(outcome, Applied):
            reported += 1
            assert (after.status, after.losses) == (Status.COMPLETED, 0)
        else:
            assert isinstance(outcome, TransitionRefused)
            assert outcome.reason == "ATTEMPT_SUPERSEDED"
            assert (after.status, after.losses) == (Status.QUEUED, 1)
    assert reported + ended.count == len(jobs)


# --- Expiry ---


async def test_a_scan_that_began_before_a_job_was_stored_does_not_end_it(empty_stores: MongoStores) -> None:
    time = now()
    job = new_job(create_time=time, expire_time=time - MINUTE)
    await insert(empty_stores, job, time - MINUTE)
    assert await empty_stores.due.expire("compute", [job.id], time - timedelta(milliseconds=1)) == 0
    assert await empty_stores.due.expire("compute", [job.id], time) == 1


async def test_a_waiting_job_fails_at_its_expire_time(empty_stores: MongoStores) -> None:
    time = now()
    job = new_job(create_time=time, expire_time=time)
    later = new_job(create_time=time, expire_time=time + timedelta(milliseconds=1))
    for each in (job, later):
        await insert(empty_stores, each, time)
    due = await empty_stores.due.due("compute", time, 10)
    assert {each.dispatch.job_id: each.is_expired for each in due} == {job.id: True, later.id: False}
    assert await empty_stores.due.expire("compute", [job.id, later.id], time) == 1
    after = await read(empty_stores, job.id)
    assert after == replace(
        job, status=Status.FAILED, error=EXPIRED, end_time=time, update_time=time, revision=2
    )
    assert after.history == ()
    assert "due_time" not in await document(empty_stores, job.id)
    assert (await read(empty_stores, later.id)).status is Status.QUEUED
    assert await empty_stores.due.expire("compute", [job.id], time + timedelta(milliseconds=1)) == 0


async def test_jobs_of_another_type_do_not_expire(empty_stores: MongoStores) -> None:
    time = now()
    job = await stored(empty_stores, expire_time=time, create_time=time)
    assert await empty_stores.due.expire("file", [job.id], time) == 0
    assert await empty_stores.due.expire("compute", [job.id], time) == 1


async def test_poison_is_told_by_type_and_jobs_that_are_queued_again_are_not(
    empty_stores: MongoStores,
) -> None:
    jobs = [
        await stored(empty_stores, "processing", job_type=job_type)
        for job_type in ("compute", "compute", "file", "file", "data")
    ]
    time = now() + MINUTE
    for job in jobs[:3]:
        await set_fields(empty_stores, job.id, {"$set": {"alone": True, "lone_losses": 2}})
    ended = await empty_stores.due.expire_leases(time, 100)
    assert ended == EndedLeases(5, {"compute": 2, "file": 1})
    assert (await empty_stores.due.expire_leases(time, 100)) == EndedLeases(0)


@pytest.mark.parametrize("call", ["expire", "expire_leases"])
async def test_a_write_that_was_sent_again_counts_the_failures_of_all_its_sendings(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    time = now() + MINUTE
    waiting = await stored(empty_stores, expire_time=time)
    lost = await stored(empty_stores, "processing")
    await set_fields(empty_stores, lost.id, {"$set": {"alone": True, "lone_losses": 2}})
    collection = empty_stores.due._jobs
    send, answers = collection.bulk_write, []

    async def lost_answer(*arguments: Any, **options: Any) -> Any:
        answers.append(await send(*arguments, **options))
        if len(answers) == 1:
            raise AutoReconnect
        return answers[-1]

    monkeypatch.setattr(collection, "bulk_write", lost_answer)
    if call == "expire":
        assert await empty_stores.due.expire("compute", [waiting.id], time) == 1
    else:
        assert (await empty_stores.due.expire_leases(time, 10)).poison == {"compute": 1}
    assert [each.matched_count for each in answers] == [1, 0]


async def test_a_running_job_does_not_expire(empty_stores: MongoStores) -> None:
    time = now()
    job = await stored(empty_stores, expire_time=time + SECOND)
    await empty_stores.jobs.apply([claim(job.id, WORKER, 0, time, LEASE)])
    assert await empty_stores.due.expire("compute", [job.id], time + MINUTE) == 0
    assert await empty_stores.jobs.apply([complete(job.id, WORKER, 1, {}, time + MINUTE)]) == [
        Applied(Status.COMPLETED, 1)
    ]


async def test_a_job_is_claimed_before_its_expire_time_and_not_at_it(empty_stores: MongoStores) -> None:
    time = now()
    for at, expected in [(time - timedelta(milliseconds=1), None), (time, "EXPIRED")]:
        job = await stored(empty_stores, expire_time=time)
        [outcome] = await empty_stores.jobs.apply([claim(job.id, WORKER, 0, at, LEASE)])
        assert (outcome.reason if isinstance(outcome, TransitionRefused) else None) == expected


@pytest.mark.parametrize("by", ["mark", "expire_lease"])
async def test_a_waiting_job_is_due_at_its_expire_time_at_the_latest(
    empty_stores: MongoStores, by: str
) -> None:
    time = now()
    expire_time = time + 10 * SECOND
    status = "queued" if by == "mark" else "processing"
    job = await stored(empty_stores, status, expire_time=expire_time)
    if by == "mark":
        await empty_stores.due.mark_published([Published(job.id, 0, RecordPosition(0, 0, 0))], time)
    else:
        assert (await empty_stores.due.expire_leases(time + MINUTE, 10)).count == 1
    assert (await document(empty_stores, job.id))["due_time"] == expire_time
