"""Jobs for tests, and functions that bring them into a status."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.attempt import Failure
from api_server.domain.job import Job, Status
from api_server.domain.resolution import Applied
from api_server.domain.transition import Transition
from api_server.domain.transitions import cancel, claim, claim_unfenced, complete, fail

WORKER = "w/1"
LEASE = timedelta(seconds=15)
RESULT = {"hash": "abc", "n": 3}
FAILURE = Failure(code=3, message="no input", reason="INVALID_INPUT")


def now() -> datetime:
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def uuid7(time: datetime) -> UUID:
    milliseconds = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62))


def new_job(
    job_type: str = "compute",
    payload: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    create_time: datetime | None = None,
    **fields: Any,
) -> Job:
    """A queued job. `fields`: other fields of Job."""
    time = create_time or now()
    return Job(
        id=uuid7(time),
        type=job_type,
        status=Status.QUEUED,
        payload={"input": "x"} if payload is None else payload,
        create_time=time,
        update_time=time,
        labels=labels or {},
        **fields,
    )


async def stored(stores: MongoStores, status: str = "queued", **fields: Any) -> Job:
    """A job in `status`, as it is read back.

    `claimed_unfenced`: processing without a worker's name.
    """
    job = await insert(stores, new_job(**fields), now())
    for transition in _path(job.id, status):
        assert isinstance((await stores.jobs.apply([transition]))[0], Applied)
    return await read(stores, job.id)


def _path(job_id: UUID, status: str) -> list[Transition]:
    claimed = claim(job_id, WORKER, 0, now(), LEASE)
    paths = {
        "processing": [claimed],
        "claimed_unfenced": [claim_unfenced(job_id, "claim-1", now(), LEASE)],
        "completed": [claimed, complete(job_id, WORKER, 1, RESULT, now())],
        "failed": [claimed, fail(job_id, WORKER, 1, FAILURE, now())],
        "cancelled": [claimed, cancel(job_id, "cancel-1", "no longer wanted", now())],
    }
    return paths.get(status, [])


async def insert(stores: MongoStores, job: Job, due_time: datetime) -> Job:
    """The stored job. Raises its error."""
    (stored,) = await stores.jobs.insert_all([(job, due_time)])
    if isinstance(stored, Exception):
        raise stored
    return stored


async def get(stores: MongoStores, job_id: UUID) -> Job | None:
    (job,) = await stores.jobs.get_all([job_id])
    return job


async def read(stores: MongoStores, job_id: UUID) -> Job:
    job = await get(stores, job_id)
    assert job is not None
    return job


async def set_fields(stores: MongoStores, job_id: UUID, update: Mapping[str, Any]) -> None:
    """Change a document without the store."""
    await stores.jobs._jobs.update_one({"_id": job_id}, update)


async def document(stores: MongoStores, job_id: UUID) -> dict[str, Any]:
    found: dict[str, Any] = await stores.jobs._jobs.find_one({"_id": job_id})
    return found
