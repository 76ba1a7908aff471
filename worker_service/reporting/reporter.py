"""Reports the outcomes of jobs. Each report is sent again until the API server accepts or refuses it.

All waiting reports go in one call; see CallSlots.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from typing import assert_never

import structlog
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from contract_runtime.status_details import reason_of
from contract_runtime.value import value
from job_client._gen.jobs.v1.job_pb2 import Job, JobError
from job_client._gen.jobs.v1.job_service_pb2 import FailureHint, Token, UpdateOutcome, UpdateStatusRequest
from service_runtime.waiting import ends_within
from worker_service.api.backoff import Backoff
from worker_service.api.call_slots import MAX_ITEMS, CallSlots
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.in_flight import Claimed
from worker_service.claiming.worker_state import WorkerState
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.execution.ports import OutcomeSink
from worker_service.reporting.log_sender import LogSender

log = structlog.get_logger()

COMPLETED, FAILED, QUEUED = Job.Status.completed, Job.Status.failed, Job.Status.queued
"""Constants because a lookup takes half as long as a report."""
MAX_BYTES = 2 * 1024 * 1024
"""Reports in one call, unless a single report is larger."""
MAX_MESSAGE = 4096
"""Characters; the contract's limit for JobError.message."""
CODES: Mapping[str, int] = {
    Reason.INVALID_INPUT: Code.INVALID_ARGUMENT,
    Reason.TIMEOUT: Code.DEADLINE_EXCEEDED,
}
"""JobError's code for these reasons. All others have INTERNAL."""
UNFIT_RESULT = {Code.INVALID_ARGUMENT: "INVALID_RESULT", Code.RESOURCE_EXHAUSTED: "RESULT_TOO_LARGE"}
"""The code with which the API server refuses a result, and the reason with which the job then fails."""


@value
class Report:
    """The outcome of a job, ready to be sent.

    `size` in bytes. If there is a result, it is the result's size alone.
    """

    claimed: Claimed
    request: UpdateStatusRequest
    size: int


class Reporter(OutcomeSink):
    """A job is in flight, and counts in its lane, until its report is accepted or refused.

    So only few reports can wait.
    """

    def __init__(
        self, state: WorkerState, updates: StatusUpdates, backoff: Backoff, logs: LogSender | None = None
    ) -> None:
        """`logs` sends what a job has logged before its report goes."""
        self._logs = logs
        self._worker_id = state.identity.worker_id
        self._in_flight = state.in_flight
        self._totals = state.totals
        self._updates = updates
        self._backoff = backoff
        self._waiting: deque[Report] = deque()
        self._calls = CallSlots()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, claimed: Claimed, outcome: Outcome) -> None:
        """Report the outcome of this job as soon as possible."""
        self._waiting.append(self._report(claimed, outcome))
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as calls:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting and self._calls.allows(len(self._waiting)):
                    self._calls.under_way += 1
                    calls.create_task(self._send(self._next_batch()))

    async def flush(self, seconds: float) -> bool:
        """Wait, for `seconds` at most, until every report has been answered; whether that happened."""
        return await ends_within(seconds, self._idle.wait())

    def _next_batch(self) -> list[Report]:
        batch: list[Report] = []
        size = 0
        while self._waiting and len(batch) < MAX_ITEMS:
            size += self._waiting[0].size
            if batch and size > MAX_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _send(self, batch: list[Report]) -> None:
        if self._logs is not None and self._logs.has_lines:
            await self._logs.send_of([report.claimed for report in batch])
        outcomes = await self._updates.send([report.request for report in batch])
        for report, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                self._waiting.append(report)
            else:
                self._settle(report, outcome)
        if any(outcome is not None for outcome in outcomes):
            self._backoff.reset()
        else:
            await asyncio.sleep(self._backoff.next())
        self._calls.under_way -= 1
        if self._waiting:
            self._wake.set()
        elif not self._calls.under_way:
            self._idle.set()

    def _settle(self, report: Report, outcome: UpdateOutcome) -> None:
        if outcome.HasField("accepted"):
            self._count(report.request.status, outcome.accepted.status)
        elif outcome.error.code in UNFIT_RESULT and report.request.status == COMPLETED:
            reason = UNFIT_RESULT[outcome.error.code]
            self.put(report.claimed, Failed(reason, outcome.error.message, permanent=True))
            return
        else:
            self._note_refusal(report, outcome.error)
        self._in_flight.remove(report.claimed)

    def _count(self, reported: "Job.Status.ValueType", became: "Job.Status.ValueType") -> None:
        if reported == COMPLETED:
            self._totals.completed += 1
        elif reported != FAILED:
            self._totals.released += 1
        elif became == QUEUED:
            self._totals.retried += 1
        else:
            self._totals.failed += 1

    def _note_refusal(self, report: Report, status: Status) -> None:
        self._totals.superseded += 1
        # A refused token is normal after this process was stopped for long. Any other refusal points at a
        # fault.
        write = log.warning if status.code == Code.FAILED_PRECONDITION else log.error
        write(
            "report_refused",
            job_id=report.claimed.id,
            type=report.claimed.type,
            attempt=report.claimed.attempt,
            status=Job.Status.Name(report.request.status),
            reason=reason_of(status),
            message=status.message,
        )

    def _report(self, claimed: Claimed, outcome: Outcome) -> Report:
        token = Token(worker_id=self._worker_id, attempt=claimed.attempt, type=claimed.type)
        request = UpdateStatusRequest(id=claimed.id, token=token)
        match outcome:
            case Succeeded(result, size):
                request.status = COMPLETED
                request.result.CopyFrom(result)
                return Report(claimed, request, size)
            case Failed(reason, message):
                request.status = FAILED
                request.error.CopyFrom(_job_error(reason, message))
                if outcome.permanent or outcome.retry_after is not None:
                    request.failure_hint.CopyFrom(_failure_hint(outcome))
            case Interrupted():
                request.status = QUEUED
            case _:
                assert_never(outcome)
        return Report(claimed, request, request.ByteSize())


def _job_error(reason: str, message: str) -> JobError:
    code = CODES.get(reason, Code.INTERNAL)
    return JobError(code=code, message=message[:MAX_MESSAGE], reason=reason)


def _failure_hint(failed: Failed) -> FailureHint:
    hint = FailureHint(permanent=failed.permanent)
    if failed.retry_after is not None:
        hint.retry_after.FromTimedelta(timedelta(seconds=failed.retry_after))
    return hint
