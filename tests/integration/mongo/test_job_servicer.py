"""Calls about one job, as messages, on a real database."""

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import ReadsOverloaded, TransitionRefused
from api_server.rpc.job_servicer import JobServicer
from api_server.services.read_room import ReadRoom
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from tests.integration.mongo import services


class NoMetadata:
    """The context of a call without headers."""

    @staticmethod
    def invocation_metadata() -> tuple[tuple[str, str], ...]:
        return ()


@pytest.fixture
def servicer(stores: MongoStores) -> JobServicer:
    return services.servicer(stores)


async def create(servicer: JobServicer, **fields: Any) -> job_pb2.Job:
    request = ParseDict({"type": "compute", "payload": {}, **fields}, job_service_pb2.CreateRequest())
    return await servicer.Create(request, NoMetadata())


async def update(servicer: JobServicer, job: job_pb2.Job, **fields: Any) -> job_pb2.Job:
    request = ParseDict({"id": job.id, **fields}, job_service_pb2.UpdateStatusRequest())
    return await servicer.UpdateStatus(request, NoMetadata())


async def test_a_created_job_has_all_fields_of_the_request(servicer: JobServicer) -> None:
    job = await create(
        servicer,
        retryPolicy={"maxAttempts": 7, "maxBackoff": "90s"},
        scheduleTime="2026-01-01T00:00:00.0001Z",
        expireTime="2999-01-01T00:00:00.0009Z",
        timeout="1.5s",
    )
    assert (job.retry_policy.max_attempts, job.retry_policy.max_backoff.seconds) == (7, 90)
    assert job.retry_policy.initial_backoff.seconds == 1
    assert job.schedule_time.ToJsonString() == "2026-01-01T00:00:00.001Z"
    assert job.expire_time.ToJsonString() == "2999-01-01T00:00:00Z"
    assert job.timeout.ToJsonString() == "1.500s"
    # Only the answer of Create has warnings.
    job.ClearField("warnings")
    assert await servicer.Get(job_service_pb2.GetRequest(id=job.id), NoMetadata()) == job


async def test_callers_see_a_failed_try_a_cancel_and_a_retry(servicer: JobServicer) -> None:
    job = await create(servicer)
    job = await update(servicer, job, status="processing", claim={"workerId": "w/1", "expectedAttempt": 0})
    assert [attempt.outcome for attempt in job.history] == [job_pb2.Attempt.running]
    job = await update(
        servicer,
        job,
        status="failed",
        token={"workerId": "w/1", "attempt": 1},
        error={"code": "INTERNAL", "message": "broken", "reason": "HANDLER_ERROR"},
        failureHint={"retryAfter": "60s"},
    )
    assert (job.status, job.failures, job.HasField("error")) == (job_pb2.Job.queued, 1, False)
    assert job.next_attempt_time.seconds - job.update_time.seconds == 60
    assert job.history[0].error.reason == "HANDLER_ERROR"

    cancel = job_service_pb2.CancelRequest(id=job.id, reason="no longer wanted")
    job = await servicer.Cancel(cancel, NoMetadata())
    assert (job.status, job.error.message) == (job_pb2.Job.cancelled, "no longer wanted")
    assert not job.HasField("next_attempt_time")
    with pytest.raises(TransitionRefused):
        await servicer.Cancel(cancel, NoMetadata())

    retry = ParseDict({"id": job.id, "expireTime": "2999-01-01T00:00:00Z"}, job_service_pb2.RetryRequest())
    job = await servicer.Retry(retry, NoMetadata())
    assert (job.status, job.failures, job.HasField("error")) == (job_pb2.Job.queued, 0, False)
    assert job.expire_time == retry.expire_time


async def test_a_batch_answers_each_report(servicer: JobServicer) -> None:
    jobs = [await create(servicer, retryPolicy={"maxAttempts": tries}) for tries in (1, 2)]
    for job in jobs:
        await update(servicer, job, status="processing", claim={"workerId": "w/1"})
    reports = [{"id": job.id, "status": "failed", "token": {"workerId": "w/1", "attempt": 1}} for job in jobs]
    batch = ParseDict({"requests": reports}, job_service_pb2.BatchUpdateStatusRequest())
    for _ in range(2):
        response = await servicer.BatchUpdateStatus(batch, NoMetadata())
        assert [outcome.accepted.status for outcome in response.outcomes] == [
            job_pb2.Job.failed,
            job_pb2.Job.queued,
        ]


async def test_lists_without_a_place_are_refused_and_other_reads_go_on(servicer: JobServicer) -> None:
    job = await create(servicer)
    page, batch = job_service_pb2.ListRequest(page_size=1), job_service_pb2.BatchGetRequest(ids=[job.id])
    servicer._reads = ReadRoom(1, wait_seconds=0.01)

    async with servicer._reads.place():
        with pytest.raises(ReadsOverloaded):
            await servicer.List(page, NoMetadata())
        with pytest.raises(ReadsOverloaded):
            await servicer.BatchGet(batch, NoMetadata())
        assert (await servicer.Get(job_service_pb2.GetRequest(id=job.id), NoMetadata())).id == job.id

    assert len((await servicer.List(page, NoMetadata())).jobs) == 1
    assert [each.id for each in (await servicer.BatchGet(batch, NoMetadata())).jobs] == [job.id]
