"""Statistics from a real database."""

from datetime import timedelta
from typing import Any

from google.protobuf.json_format import ParseDict

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.activity import Activity, EndTimes, Totals, last_minutes, minute_of
from api_server.services.activity import ActivityRecorder
from api_server.services.job_types import KnownJobTypes
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from job_client._gen.jobs.v1.stats_pb2 import StatsRequest
from tests.integration.mongo.jobs import now, stored
from tests.integration.mongo.services import servicer
from tests.integration.mongo.test_job_servicer import NoMetadata

CONTEXT: Any = NoMetadata()
COUNTS = Activity(1, 2, 3, 4, 5, {7: 1.5}, {0: 2.0, 128: 1.0})


async def test_minutes_of_several_processes_read_back_as_they_were_put(empty_stores: MongoStores) -> None:
    store, present = empty_stores.activity, minute_of(now())
    await store.put("p", present, {"compute": Activity(created=9)})
    await store.put("p", present, {"compute": COUNTS, "": COUNTS})
    await store.put("q", present, {"compute": COUNTS})
    await store.put("p", last_minutes(present)[0], {})
    await store.put("p", last_minutes(present)[0] - timedelta(minutes=1), {"compute": COUNTS})
    read = await store.minutes(last_minutes(present)[0])
    assert sorted(read, key=str) == sorted(
        [
            (present, {"compute": COUNTS, "": COUNTS}),
            (present, {"compute": COUNTS}),
            (last_minutes(present)[0], {}),
        ],
        key=str,
    )


async def test_totals_add_up(empty_stores: MongoStores) -> None:
    store = empty_stores.activity
    assert await store.totals() == {}
    await store.add_totals({"compute": Totals(1, 2, 3), "": Totals(completed=1)})
    await store.add_totals({"compute": Totals(10, 0, 0)})
    assert await store.totals() == {"compute": Totals(11, 2, 3), "": Totals(completed=1)}


async def test_the_times_of_jobs_that_have_started_and_ended(empty_stores: MongoStores) -> None:
    done = await stored(empty_stores, "completed")
    late = await stored(empty_stores, "failed", schedule_time=now() + timedelta(seconds=-1))
    others = [await stored(empty_stores, status) for status in ("queued", "processing")]
    times = await empty_stores.activity.end_times([job.id for job in (done, late, *others)])
    assert {each.type for each in times} == {"compute"}
    assert done.start_time is not None
    assert done.end_time is not None
    assert EndTimes("compute", done.create_time, done.start_time, done.end_time) in times
    assert len(times) == 2


async def test_statistics_show_what_waits_runs_and_happened(empty_stores: MongoStores) -> None:
    recorder = ActivityRecorder(empty_stores.activity, empty_stores.clock, KnownJobTypes(("compute",)))
    calls = servicer(empty_stores, activity=recorder)
    create: Any = ParseDict({"type": "compute", "payload": {}}, job_service_pb2.CreateRequest())
    jobs = [await calls.Create(create, CONTEXT) for _ in range(5)]

    async def update(job: job_pb2.Job, **fields: Any) -> None:
        batch = {"requests": [{"id": job.id, **fields}]}
        request: Any = ParseDict(batch, job_service_pb2.BatchUpdateStatusRequest())
        response = await calls.BatchUpdateStatus(request, CONTEXT)
        assert response.outcomes[0].HasField("accepted")

    for job in jobs[:4]:
        await update(job, status="processing", claim={"workerId": "w/1", "expectedType": "compute"})
    token = {"workerId": "w/1", "attempt": 1, "type": "compute"}
    await update(jobs[0], status="completed", token=token)
    await update(jobs[1], status="failed", token=token, failureHint={"permanent": True})
    # It is tried again, so it has not ended.
    await update(jobs[2], status="failed", token=token, failureHint={"retryAfter": "60s"})
    await calls.Cancel(job_service_pb2.CancelRequest(id=jobs[3].id), CONTEXT)
    await recorder.store()

    response = await calls.Stats(StatsRequest(), CONTEXT)
    (stats,) = response.types
    assert (stats.type, stats.queued, stats.processing) == ("compute", 2, 0)
    assert (stats.completed_total, stats.failed_total, stats.cancelled_total) == (1, 1, 1)
    assert stats.HasField("oldest_waiting")
    assert not stats.has_worker
    hour = stats.last_hour
    counts = (hour.created, hour.started, hour.completed, hour.failed, hour.cancelled)
    assert counts == (5, 4, 1, 1, 1)
    assert hour.run_latency.p50.ToTimedelta() <= hour.run_latency.p99.ToTimedelta()
    assert hour.start_latency.HasField("p95")
    assert len(response.minutes) == 60
    assert sum(each.created for minute in response.minutes for each in minute.activities) == 5
