"""Checks the stored jobs: reads them from MongoDB and compares them with the answers of List and Get."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import grpc
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient

from api_server.adapters.mongo.client import CODEC, RAW_CODEC
from api_server.adapters.mongo.documents import decode_job
from api_server.domain.job import Status
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import GetRequest, ListRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from tests.fuzz.jobs import job_faults

PAGE_SIZE = 100
BY_CREATE_TIME, BY_UPDATE_TIME = "tests_create_time", "tests_update_time"


class Storage:
    """The jobs in MongoDB, and the jobs that List and Get return."""

    def __init__(self, client: "AsyncIOMotorClient[Any]", database: str, channel: grpc.aio.Channel) -> None:
        self._database: Any = client.get_database(database, codec_options=CODEC)
        self._jobs: Any = self._database["jobs"]
        self._workers: Any = self._database["workers"]
        self._stub: Any = JobServiceStub(channel)
        self._read: set[str] = set()

    @asynccontextmanager
    async def indexes(self) -> AsyncIterator[None]:
        """Indexes for `ids` and `faults`. The system has none for them, so they would read all jobs."""
        names = {"create_time": BY_CREATE_TIME, "update_time": BY_UPDATE_TIME}
        for field, name in names.items():
            await self._jobs.create_index(field, name=name)
        try:
            yield
        finally:
            for name in names.values():
                await self._jobs.drop_index(name)

    async def now(self) -> datetime:
        """The database's time."""
        answer = await self._database.command("hello", codec_options=CODEC)
        time: datetime = answer["localTime"]
        return time

    async def ids(self, since: datetime) -> set[str]:
        """The ids of jobs that were created at `since` or later, or that have no create_time."""
        created = self._jobs.find({"create_time": {"$not": {"$lt": since}}}, {"_id": 1})
        return {str(document["_id"]) async for document in created.hint(BY_CREATE_TIME)}

    async def stored(self, job_ids: set[str]) -> set[str]:
        """The ids that belong to a stored job."""
        found = self._jobs.find({"_id": {"$in": [UUID(each) for each in job_ids]}}, {"_id": 1})
        return {str(document["_id"]) async for document in found}

    async def waiting(self) -> list[dict[str, Any]]:
        """The stored queued jobs, without the callers' data."""
        left_out = {"payload": 0, "labels": 0, "history": 0}
        return [document async for document in self._jobs.find({"status": Status.QUEUED.value}, left_out)]

    async def faults(self, since: datetime) -> list[str]:
        """What is wrong with jobs that changed at `since` or later, or that have no update_time."""
        undecoded = self._jobs.with_options(codec_options=RAW_CODEC)
        changed = undecoded.find({"update_time": {"$not": {"$lt": since}}})
        return [fault async for raw in changed.hint(BY_UPDATE_TIME) for fault in document_faults(raw)]

    async def reading_faults(self, since: datetime) -> list[str]:
        """What is wrong with List and Get for the jobs that were created at `since` or later.

        Each job is read once in all calls together.
        """
        listed = {job.id: job async for job in self._listed(since)}
        stored = await self.ids(since)
        unread = [job for job_id, job in listed.items() if job_id not in self._read]
        unread += [await self._stub.Get(GetRequest(id=job.id)) for job in unread]
        self._read |= stored
        found = [fault for job in unread for fault in job_faults(job)]
        return (
            found
            if stored == listed.keys()
            else [*found, f"not listed, or not stored: {stored ^ listed.keys()}"]
        )

    async def _listed(self, since: datetime) -> AsyncIterator[Job]:
        request = ListRequest(page_size=PAGE_SIZE)
        request.create_time_from.FromDatetime(since)
        while True:
            page = await self._stub.List(request)
            for job in page.jobs:
                yield job
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def keys_without_a_job(self, deleted: set[str]) -> list[str]:
        """Idempotency keys whose job was never stored. `deleted`: ids of jobs that may have been deleted."""
        joined = self._database["idempotency_keys"].aggregate(
            [
                {"$lookup": {"from": "jobs", "localField": "job_id", "foreignField": "_id", "as": "jobs"}},
                {"$match": {"jobs": []}},
            ]
        )
        return [document["_id"] async for document in joined if str(document["job_id"]) not in deleted]

    async def worker_names(self) -> set[str]:
        return set(await self._workers.distinct("_id"))

    async def forget_workers_but(self, names: set[str]) -> None:
        await self._workers.delete_many({"_id": {"$nin": list(names)}})


def document_faults(raw: RawBSONDocument) -> Iterator[str]:
    """What is wrong with a stored job."""
    try:
        job = decode_job(raw)
    except Exception as error:  # noqa: BLE001 - readers would get any error
        yield f"the job of {raw.raw[:200]!r} cannot be decoded: {error!r}"
        return
    rules = {
        "has an id that is a UUID": isinstance(job.id, UUID),
        "has a type, a payload and a revision": job.type
        and isinstance(raw.get("payload"), Mapping)
        and job.revision >= 1,
        "has a due_time until it has ended": ("due_time" in raw) != job.status.is_terminal,
        "has an end if it has ended": (job.end_time is not None) == job.status.is_terminal,
        "has a result if it is completed": (job.result is not None) == (job.status is Status.COMPLETED),
        "has an error if it failed or was cancelled": (job.error is not None)
        == (job.status in (Status.FAILED, Status.CANCELLED)),
        "has a claim while it is processing": job.status is not Status.PROCESSING
        or (job.start_time is not None and bool(job.worker_id) != bool(job.claim_id)),
        "has no worker while it is queued": job.status is not Status.QUEUED or not job.worker_id,
    }
    yield from (f"job {job.id}: it is not true that it {rule}" for rule, holds in rules.items() if not holds)
