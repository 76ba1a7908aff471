"""How an outcome is reported, and how it is counted after the API server has answered."""

import asyncio
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusRequest,
    BatchUpdateStatusResponse,
    FailureHint,
    UpdateAccepted,
    UpdateOutcome,
    UpdateStatusRequest,
)
from service_runtime.validation import ContractValidator
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import worker_state
from worker_service.api.backoff import Backoff
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.in_flight import Claimed
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.handler_api.errors import MAX_RETRY_AFTER
from worker_service.reporting.reporter import MAX_BYTES, Reporter
from worker_service.state.totals import Totals

JOB_ID = "01938f4e-7c3a-7b2e-9d41-3f5a6b7c8d9e"


async def report(outcome: Outcome, *answers: UpdateOutcome) -> tuple[list[UpdateStatusRequest], Totals]:
    """The requests that are sent for an outcome, and the counts after these answers."""
    sent: list[UpdateStatusRequest] = []
    left = list(answers)

    async def update(request: BatchUpdateStatusRequest, _context: Any) -> BatchUpdateStatusResponse:
        [update] = request.requests
        sent.append(update)
        return BatchUpdateStatusResponse(outcomes=[left.pop(0)])

    state = worker_state({"loop": 1})
    lane = state.lanes["loop"]
    claimed = state.in_flight.held[JOB_ID] = Claimed(DispatchRecord(id=JOB_ID, type="compute"), lane, 1)
    lane.hold()
    async with api_of({"BatchUpdateStatus": update}) as api:
        reporter = Reporter(state, StatusUpdates(api), Backoff())
        reporter.put(claimed, outcome)
        reporting = asyncio.create_task(reporter.run())
        assert await reporter.flush(20)
        reporting.cancel()
        await asyncio.wait([reporting])
    assert state.in_flight.held == {}
    assert lane.capacity == 1
    return sent, state.totals


def accepted(status: "Job.Status.ValueType") -> UpdateOutcome:
    return UpdateOutcome(accepted=UpdateAccepted(status=status, attempt=1))


@pytest.mark.parametrize(
    ("failed", "hint"),
    [
        (Failed(Reason.HANDLER_ERROR, "x"), None),
        (Failed(Reason.PERMANENT_ERROR, "x", permanent=True), FailureHint(permanent=True)),
        (Failed(Reason.RETRY_AFTER, "x", retry_after=0), FailureHint(retry_after=Duration())),
        (
            Failed(Reason.RETRY_AFTER, "x", retry_after=1.5),
            FailureHint(retry_after=Duration(seconds=1, nanos=500_000_000)),
        ),
        (
            Failed(Reason.RETRY_AFTER, "x", retry_after=MAX_RETRY_AFTER),
            FailureHint(retry_after=Duration(seconds=MAX_RETRY_AFTER)),
        ),
    ],
)
async def test_a_hint_is_sent_where_the_handler_gave_one(failed: Failed, hint: FailureHint | None) -> None:
    [request], _ = await report(failed, accepted(Job.Status.failed))

    assert (request.failure_hint if request.HasField("failure_hint") else None) == hint
    ContractValidator().check(request)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.INVALID_INPUT, Code.INVALID_ARGUMENT),
        (Reason.TIMEOUT, Code.DEADLINE_EXCEEDED),
        (Reason.HANDLER_ERROR, Code.INTERNAL),
        (Reason.PERMANENT_ERROR, Code.INTERNAL),
        (Reason.RETRY_AFTER, Code.INTERNAL),
        (Reason.WORKER_PROCESS_DIED, Code.INTERNAL),
    ],
)
async def test_each_reason_has_its_code(reason: Reason, code: int) -> None:
    [request], _ = await report(Failed(reason, "x"), accepted(Job.Status.failed))

    assert (request.error.reason, request.error.code) == (reason, code)


@pytest.mark.parametrize(
    ("outcome", "became", "counted"),
    [
        (Succeeded.with_result({}), Job.Status.completed, Totals(completed=1)),
        (Failed(Reason.HANDLER_ERROR, "x"), Job.Status.failed, Totals(failed=1)),
        (Failed(Reason.HANDLER_ERROR, "x"), Job.Status.queued, Totals(retried=1)),
        (Interrupted(), Job.Status.queued, Totals(released=1)),
    ],
)
async def test_an_accepted_report_is_counted_by_the_new_status_of_the_job(
    outcome: Outcome, became: "Job.Status.ValueType", counted: Totals
) -> None:
    _, totals = await report(outcome, accepted(became))

    assert totals == counted


async def test_a_result_that_the_server_refuses_fails_its_job_for_good() -> None:
    refused = UpdateOutcome(error=Status(code=Code.INVALID_ARGUMENT, message="result: no"))

    [_, request], totals = await report(Succeeded.with_result({}), refused, accepted(Job.Status.failed))

    assert (request.error.reason, request.failure_hint) == ("INVALID_RESULT", FailureHint(permanent=True))
    assert totals == Totals(failed=1)


async def test_large_results_are_spread_over_calls_by_their_size() -> None:
    calls: list[int] = []

    async def update(request: BatchUpdateStatusRequest, _context: Any) -> BatchUpdateStatusResponse:
        calls.append(len(request.requests))
        return BatchUpdateStatusResponse(outcomes=[accepted(Job.Status.completed) for _ in request.requests])

    state = worker_state({"loop": 5})
    result = Succeeded.with_result({"text": "x" * (MAX_BYTES // 2 - 20)})
    assert result.size == result.result.ByteSize() <= MAX_BYTES // 2
    async with api_of({"BatchUpdateStatus": update}) as api:
        reporter = Reporter(state, StatusUpdates(api), Backoff())
        for number in range(5):
            record = DispatchRecord(id=str(number), type="compute")
            claimed = state.in_flight.held[record.id] = Claimed(record, state.lanes["loop"], 1)
            claimed.lane.hold()
            reporter.put(claimed, result)
        reporting = asyncio.create_task(reporter.run())
        assert await reporter.flush(20)
        reporting.cancel()
        await asyncio.wait([reporting])

    assert calls == [2, 2, 1]
