"""How lines of handlers get to the API server, and what happens when it does not take them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from contract_runtime.statuses import error_to_status
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusResponse,
    UpdateAccepted,
    UpdateOutcome,
)
from job_client._gen.jobs.v1.log_pb2 import AppendLogRequest, AppendLogResponse, LogEntry
from service_runtime.request_limits import TooManyLargeRequests
from service_runtime.validation import ContractValidator
from tests.clocks import MonotonicClock
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import worker_state
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.api.errors import ApiCallFailed
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.in_flight import Claimed
from worker_service.execution.job_lines import JobLines
from worker_service.execution.line_buffer import MAX_NUMBER, JobLine, Kind
from worker_service.execution.outcome import Succeeded
from worker_service.reporting import log_sender
from worker_service.reporting.log_sender import MAX_ATTEMPTS, QUIET_SECONDS, LogSender
from worker_service.reporting.reporter import Reporter

TIME = 1_800_000_000.25
VALIDATOR = ContractValidator()


def job_id(number: int) -> str:
    return f"01938f4e-7c3a-7b2e-9d41-{number:012x}"


def claimed(number: int) -> Claimed:
    lane = worker_state({"loop": 1}).lanes["loop"]
    return Claimed(DispatchRecord(id=job_id(number), type="compute"), lane, 2)


class Server:
    """A LogApi, and what a worker sends to it."""

    def __init__(self) -> None:
        self.requests: list[AppendLogRequest] = []
        self.code = Code.OK
        self.status: Status | None = None
        self.hangs = False
        self.lines = JobLines()
        self.clock = MonotonicClock()
        self.sender = LogSender("w/1", self.lines, self, self.clock)

    async def append_log(self, request: AppendLogRequest, wait: float) -> AppendLogResponse:
        assert wait > 0
        VALIDATOR.check(request)
        self.requests.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        if self.code != Code.OK:
            raise ApiCallFailed(self.status or Status(code=self.code, message="no"))
        return AppendLogResponse()

    def log(self, number: int, message: str = "hello", times: int = 1) -> None:
        log = self.lines.open(job_id(number), 2)
        for _ in range(times):
            log.add(JobLine(TIME, Kind.LINE, "info", "app", message))

    @property
    def jobs(self) -> list[list[str]]:
        """The jobs in each request."""
        return [[each.job_id for each in request.logs] for request in self.requests]


async def test_an_entry_has_what_the_handler_logged() -> None:
    server = Server()
    server.log(1)
    server.log(1)
    assert await server.sender.flush(5)
    [request] = server.requests
    [log] = request.logs
    assert (request.worker_id, log.job_id, log.attempt) == ("w/1", job_id(1), 2)
    [entry] = log.entries
    assert (entry.number, entry.kind, entry.level) == (1, LogEntry.Kind.line, "info")
    assert (entry.logger, entry.message) == ("app", "hello")
    assert entry.time.ToDatetime(UTC) == datetime.fromtimestamp(TIME, UTC)


async def test_nothing_is_sent_when_nothing_was_logged() -> None:
    server = Server()
    assert await server.sender.flush(5)
    await server.sender.send_of([claimed(1)])
    assert server.requests == []


async def test_lines_are_sent_while_handlers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sender, "INTERVAL", 0.01)
    server = Server()
    running = asyncio.create_task(server.sender.run())
    server.log(1)
    await until(lambda: server.jobs == [[job_id(1)]])
    server.log(2)
    await until(lambda: server.jobs == [[job_id(1)], [job_id(2)]])
    running.cancel()


async def test_more_jobs_than_one_call_may_have_go_in_several() -> None:
    server = Server()
    for number in range(MAX_ATTEMPTS + 1):
        server.log(number)
    assert await server.sender.flush(5)
    assert [len(each) for each in server.jobs] == [MAX_ATTEMPTS, 1]


async def test_the_largest_call_obeys_the_contract() -> None:
    server = Server()
    for number in range(20):
        server.log(number, "€" * 4000, times=300)
    assert await server.sender.flush(5)
    assert sum(len(each) for each in server.jobs) == 20
    assert max(request.ByteSize() for request in server.requests) < 2 * 1024 * 1024


async def test_lines_whose_call_failed_are_sent_again() -> None:
    server = Server()
    server.code = Code.UNAVAILABLE
    server.log(1)
    assert not await server.sender.flush(0.01)
    server.code = Code.OK
    assert await server.sender.flush(5)
    assert server.requests[0] == server.requests[1]


async def test_a_worker_that_ends_tries_again_until_its_lines_are_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_sender, "FLUSH_PAUSE", 0.01)
    server = Server()
    server.code = Code.UNAVAILABLE
    server.log(1)
    flushing = asyncio.create_task(server.sender.flush(60))
    await until(lambda: len(server.requests) > 1)
    server.code = Code.OK
    assert await flushing


@pytest.mark.parametrize("code", sorted(log_sender.REFUSED))
async def test_lines_that_would_be_refused_again_are_dropped(code: Any) -> None:
    server = Server()
    server.code = code
    server.log(1)
    assert await server.sender.flush(5)
    assert len(server.requests) == 1


async def test_lines_are_kept_while_the_server_is_overloaded() -> None:
    server = Server()
    server.code, server.status = Code.RESOURCE_EXHAUSTED, error_to_status(TooManyLargeRequests())
    server.log(1)
    await server.sender.send_of([claimed(1)])
    server.code = Code.OK
    assert await server.sender.flush(5)
    assert len(server.requests) == 2


async def test_lines_of_jobs_that_have_ended_do_not_wait_for_those_of_others() -> None:
    server = Server()
    for number in (1, 2, 3):
        server.log(number)
    await server.sender.send_of([claimed(2), claimed(5)])
    assert server.jobs == [[job_id(2)]]


async def test_after_a_failure_reports_do_not_wait_for_a_while() -> None:
    server = Server()
    server.code = Code.UNAVAILABLE
    server.log(1)
    await server.sender.send_of([claimed(1)])
    server.code = Code.OK
    server.clock.now += QUIET_SECONDS - 0.1
    await server.sender.send_of([claimed(1)])
    assert len(server.requests) == 1
    server.clock.now += 0.2
    await server.sender.send_of([claimed(1)])
    assert len(server.requests) == 2
    assert not server.lines


async def test_a_report_does_not_wait_long_for_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sender, "BEFORE_REPORT_SECONDS", 0.01)
    server = Server()
    server.hangs = True
    server.log(1)
    await server.sender.send_of([claimed(1)])
    # The lines are not lost, and the next report does not wait at all.
    await server.sender.send_of([claimed(1)])
    assert len(server.requests) == 1
    server.hangs = False
    assert await server.sender.flush(5)


async def test_the_number_of_the_last_possible_line_obeys_the_contract() -> None:
    server = Server()
    log = server.lines.open(job_id(1), 2)
    server.lines.skip(log, MAX_NUMBER - 1)
    for _ in range(2):
        log.add(JobLine(TIME, Kind.TRACE, "error", "", "x" * 16_000))
    assert await server.sender.flush(5)
    assert [entry.number for entry in server.requests[0].logs[0].entries] == [MAX_NUMBER]


@pytest.mark.parametrize("logs", [True, False])
async def test_the_lines_of_a_job_are_sent_before_its_report(logs: bool) -> None:
    calls: list[str] = []

    def noted(name: str, answer: Any) -> Callable[[Any, Any], Any]:
        async def call(_request: Any, _context: Any) -> Any:
            calls.append(name)
            return answer

        return call

    accepted = BatchUpdateStatusResponse(outcomes=[UpdateOutcome(accepted=UpdateAccepted())])
    state, lines = worker_state({"loop": 1}), JobLines()
    job = Claimed(DispatchRecord(id=job_id(1), type="compute"), state.lanes["loop"], 2)
    state.in_flight.held[job.id] = job
    job.lane.hold()
    if logs:
        lines.open(job.id, 2).add(JobLine(TIME, Kind.LINE, "info", "", "done"))
    answers = {"BatchUpdateStatus": accepted, "AppendLog": AppendLogResponse()}
    async with api_of({name: noted(name, answer) for name, answer in answers.items()}) as api:
        reporter = Reporter(state, StatusUpdates(api), Backoff(), LogSender("w/1", lines, api))
        reporter.put(job, Succeeded.with_result({}))
        reporting = asyncio.create_task(reporter.run())
        assert await reporter.flush(20)
        reporting.cancel()
        await asyncio.wait([reporting])
    assert calls == (["AppendLog"] if logs else []) + ["BatchUpdateStatus"]
