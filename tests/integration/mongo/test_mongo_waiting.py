"""Counts of queued jobs in a real database, the list of types, and warnings for new jobs."""

from datetime import timedelta
from typing import Any

from google.protobuf.json_format import ParseDict

from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.adapters.mongo.stores import MongoStores
from api_server.adapters.mongo.waiting import EVER
from api_server.domain.fleet import WorkerIdentity, WorkerReport
from api_server.services.live_types import warning
from jobs.v1 import job_service_pb2
from jobs.v1.job_types_pb2 import JobType, ListTypesRequest
from tests.integration.mongo.jobs import new_job, now, stored
from tests.integration.mongo.services import servicer
from tests.integration.mongo.test_job_servicer import NoMetadata

CONTEXT: Any = NoMetadata()


async def test_only_queued_jobs_of_the_type_are_counted(empty_stores: MongoStores) -> None:
    waiting = empty_stores.waiting
    assert (await waiting.types(10), await waiting.count("compute", 10)) == ([], 0)
    for status in ("queued", "processing", "completed", "failed", "cancelled"):
        await stored(empty_stores, status)
    await stored(empty_stores, next_attempt_time=now() + timedelta(hours=1))
    await stored(empty_stores, job_type="data")
    await stored(empty_stores, "completed", job_type="file")
    assert await waiting.types(10) == ["compute", "data"]
    assert await waiting.types(1) == ["compute"]
    assert [await waiting.count("compute", limit) for limit in (1, 2, 3)] == [1, 2, 2]
    assert await waiting.count("file", 10) == 0


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
