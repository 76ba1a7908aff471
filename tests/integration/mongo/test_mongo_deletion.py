"""Jobs that are deleted, on a real mongod."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from api_server.adapters.mongo import deletion
from api_server.adapters.mongo.stores import MongoStores
from api_server.adapters.mongo.writes import resend
from api_server.domain.errors import JobNotEnded, JobNotFound
from api_server.domain.job import Job, ProgressNote, Status
from api_server.domain.transitions import cancel, complete, expire_lease, fail, release, retry, try_again
from tests.integration.mongo.jobs import FAILURE, RESULT, WORKER, get, insert, new_job, now, stored


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_a_job_that_has_ended_is_deleted_and_a_second_call_finds_none(
    stores: MongoStores, status: str
) -> None:
    job = await stored(stores, status)
    other = await stored(stores, status)
    assert await stores.jobs.delete(job.id)
    assert await get(stores, job.id) is None
    assert not await stores.jobs.delete(job.id)
    assert await get(stores, other.id) == other


@pytest.mark.parametrize("status", ["queued", "processing", "claimed_unfenced"])
async def test_a_job_that_has_not_ended_is_refused_and_stays(stores: MongoStores, status: str) -> None:
    job = await stored(stores, status)
    with pytest.raises(JobNotEnded) as caught:
        await stores.jobs.delete(job.id)
    assert caught.value.metadata == {
        "id": str(job.id),
        "status": job.status.value,
        "attempt": str(job.attempt),
    }
    assert await get(stores, job.id) == job


async def test_nothing_brings_a_deleted_job_back(stores: MongoStores) -> None:
    job = await stored(stores, "completed")
    await stores.jobs.delete(job.id)
    minute = timedelta(minutes=1)
    for late in (
        complete(job.id, WORKER, 1, RESULT, now()),
        fail(job.id, WORKER, 1, FAILURE, now()),
        try_again(job.id, WORKER, 1, FAILURE, now(), 0, minute),
        release(job.id, WORKER, 1, now()),
        expire_lease(job.id, WORKER, 1, now()),
        cancel(job.id, "late", "", now()),
        retry(job.id, "late", now()),
    ):
        [outcome] = await stores.jobs.apply([late])
        assert isinstance(outcome, JobNotFound)
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 50.0, "half")], now())
    await stores.jobs.move_leases(WORKER, [job.id], now(), 15.0)
    await stores.due.expire("compute", [job.id], now())
    assert await get(stores, job.id) is None


def when_first_read(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Awaitable[Any]]) -> None:
    """Do `change` after a deletion has read its job for the first time, and before it deletes it."""
    changes = [change]

    async def send(statement: Callable[[], Awaitable[Any]]) -> Any:
        answer = await resend(statement)
        if changes:
            await changes.pop()()
        return answer

    monkeypatch.setattr(deletion, "resend", send)


async def test_a_job_that_is_retried_meanwhile_stays(
    stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await stored(stores, "failed")
    when_first_read(monkeypatch, partial(stores.jobs.apply, [retry(job.id, "meanwhile", now())]))
    with pytest.raises(JobNotEnded):
        await stores.jobs.delete(job.id)
    present = await get(stores, job.id)
    assert present is not None
    assert present.status is Status.QUEUED


async def test_a_job_that_was_created_anew_with_the_same_id_stays(
    stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sending of a deletion was done, its answer was lost, and the id was used again."""
    job = await insert(stores, new_job(), now())
    cancelled = cancel(job.id, "c", "", now())
    await stores.jobs.apply([cancelled])
    later = now() + timedelta(seconds=1)

    async def create_anew() -> None:
        await stores.jobs._jobs.delete_one({"_id": job.id})
        again = Job(job.id, job.type, Status.QUEUED, job.payload, later, later)
        await insert(stores, again, later)
        await stores.jobs.apply([cancelled])

    when_first_read(monkeypatch, create_anew)
    assert await stores.jobs.delete(job.id)
    anew = await get(stores, job.id)
    assert anew is not None
    assert (anew.status, anew.create_time) == (Status.CANCELLED, later)
