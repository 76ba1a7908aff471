"""Counts of queued jobs in a real database, the list of types, and warnings for new jobs."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from api_server.adapters.mongo import job_counts
from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.adapters.mongo.job_counts import EVER
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.fleet import WorkerIdentity, WorkerReport
from api_server.domain.job import Status
from api_server.services.live_types import warning
from api_server.stats_ports import Oldest
from job_client._gen.jobs.v1 import job_service_pb2
from job_client._gen.jobs.v1.job_types_pb2 import JobType, ListTypesRequest
from tests.integration.mongo.jobs import insert, new_job, now, stored
from tests.integration.mongo.services import servicer
from tests.integration.mongo.test_job_servicer import NoMetadata

CONTEXT: Any = NoMetadata()
QUEUED = Status.QUEUED


async def test_only_queued_jobs_of_the_type_are_counted(empty_stores: MongoStores) -> None:
    counts = empty_stores.counts
    assert (await counts.types(QUEUED, 10), await counts.count(QUEUED, "compute", 10)) == ([], 0)
    for status in ("queued", "processing", "completed", "failed", "cancelled"):
        await stored(empty_stores, status)
    await stored(empty_stores, next_attempt_time=now() + timedelta(hours=1))
    await stored(empty_stores, job_type="data")
    await stored(empty_stores, "completed", job_type="file")
    assert await counts.types(QUEUED, 10) == ["compute", "data"]
    assert await counts.types(QUEUED, 1) == ["compute"]
    assert await counts.types(Status.PROCESSING, 10) == ["compute"]
    assert [await counts.count(QUEUED, "compute", limit) for limit in (1, 2, 3)] == [1, 2, 2]
    assert await counts.count(QUEUED, "file", 10) == 0
    assert await counts.count(Status.PROCESSING, "compute", 10) == 1


async def test_a_count_reads_no_document(empty_stores: MongoStores) -> None:
    jobs = empty_stores.jobs._jobs
    await empty_stores.jobs.insert_all([(new_job(), now()) for _ in range(20)])
    where = {"status": "queued", "type": "compute", "due_time": EVER}
    command = {
        "aggregate": jobs.name,
        "pipeline": [{"$match": where}, {"$limit": 7}, {"$group": {"_id": 1, "n": {"$sum": 1}}}],
        "cursor": {},
        "hint": dict(BY_DUE_TIME),
    }
    plan = await jobs.database.command("explain", command, verbosity="executionStats")
    stats = plan.get("executionStats") or plan["stages"][0]["$cursor"]["executionStats"]
    assert (stats["totalDocsExamined"], stats["totalKeysExamined"] <= 8) == (0, True)


async def test_the_oldest_job_that_may_start(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, time = empty_stores.counts, now()
    assert await counts.oldest("compute", time) == Oldest(None)

    async def put(waits: float, due: float, **fields: Any) -> None:
        job = new_job(create_time=time - timedelta(seconds=waits), **fields)
        await insert(empty_stores, job, time + timedelta(seconds=due))

    await put(99, 5, job_type="data")
    await put(99, 60, next_attempt_time=time + timedelta(seconds=60))
    assert await counts.oldest("compute", time) == Oldest(None)
    await put(20, 40)
    await put(99, 41, next_attempt_time=time - timedelta(seconds=10))
    assert await counts.oldest("compute", time) == Oldest(time - timedelta(seconds=20))

    monkeypatch.setattr(job_counts, "EXAMINED", 4)
    assert not (await counts.oldest("compute", time)).is_capped
    await put(1, 6)
    await put(1, 7)
    # The oldest one is in the middle of the index.
    assert await counts.oldest("compute", time) == Oldest(time - timedelta(seconds=10), is_capped=True)


async def test_jobs_that_cannot_be_examined_in_time_have_no_oldest(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(empty_stores)
    monkeypatch.setattr(job_counts, "EXAMINE_SECONDS", 1e-9)
    assert await empty_stores.counts.oldest("compute", now()) == Oldest(None, is_capped=True)


async def test_all_types_are_listed(empty_stores: MongoStores) -> None:
    identity = WorkerIdentity("w/1", "w", "host", 1, ("data",))
    await empty_stores.workers.take_name(identity, lambda _: False, empty_stores.clock.now())
    await stored(empty_stores)
    await empty_stores.fleet.change(lambda fleet: fleet.with_consuming(False, None))
    response = await servicer(empty_stores).ListTypes(ListTypesRequest(), CONTEXT)
    assert list(response.types) == [
        JobType(type="compute", accepted=True, stopped=True, waiting=1),
        JobType(type="data", live_workers=1, worker_names=["w"], stopped=True),
    ]


async def test_a_new_job_without_a_live_worker_has_a_warning(empty_stores: MongoStores) -> None:
    create: Any = ParseDict({"type": "compute", "payload": {}}, job_service_pb2.CreateRequest())
    batch = job_service_pb2.BatchCreateRequest(requests=[create, create])
    calls = servicer(empty_stores)
    job = await calls.Create(create, CONTEXT)
    assert list(job.warnings) == [warning("compute")]
    assert not (await calls.Get(job_service_pb2.GetRequest(id=job.id), CONTEXT)).warnings
    response = await calls.BatchCreate(batch, CONTEXT)
    assert list(response.warnings) == [warning("compute")]
    assert not any(outcome.job.warnings for outcome in response.outcomes)

    identity = WorkerIdentity("w/1", "w", "host", 1, ("compute",))
    await empty_stores.workers.take_name(identity, lambda _: False, empty_stores.clock.now())
    calls = servicer(empty_stores)
    assert not (await calls.Create(create, CONTEXT)).warnings
    assert not (await calls.BatchCreate(batch, CONTEXT)).warnings

    await empty_stores.workers.heartbeat("w/1", WorkerReport("draining"), empty_stores.clock.now())
    assert (await servicer(empty_stores).Create(create, CONTEXT)).warnings
