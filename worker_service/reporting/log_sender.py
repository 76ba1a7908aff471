"""Sends what handlers log to the API server.

Most lines go about every half second. The lines of a job that has ended go just before its report, so that
its log is complete when its outcome is known. A job that logs nothing costs no call.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import Code

from contract_runtime.status_details import asks_for_retry
from job_client._gen.jobs.v1.log_pb2 import AppendLogRequest, AppendLogResponse, AttemptLog, LogEntry
from service_runtime.outage import Outage
from service_runtime.waiting import ends_within
from worker_service.api.errors import ApiCallFailed
from worker_service.claiming.in_flight import Claimed
from worker_service.execution.job_lines import JobLines, NumberedLines
from worker_service.execution.line_buffer import JobLine, Kind

log = structlog.get_logger()

INTERVAL = 0.5
FLUSH_PAUSE = 0.2
CALL_SECONDS = 2.0
BEFORE_REPORT_SECONDS = 1.0
"""How long a report waits for its job's lines to be stored. After that they follow the report."""
QUIET_SECONDS = 5.0
"""After a failed call no report waits for lines for this time: reports are worth more."""
MAX_ATTEMPTS = 100
"""The contract's limit for one call."""
MAX_BYTES = 1024 * 1024
"""Lines in one call, in memory."""
REFUSED = frozenset({Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED, Code.UNIMPLEMENTED, Code.INTERNAL})
"""The same call would fail again. UNIMPLEMENTED: the API server is of an older version."""
KINDS = {Kind.LINE: LogEntry.Kind.line, Kind.TRACE: LogEntry.Kind.trace}


class LogApi(Protocol):
    """ApiClient implements it."""

    async def append_log(self, request: AppendLogRequest, wait: float) -> AppendLogResponse:
        """Raises ApiCallFailed."""


class LogSender:
    """Sends one call at a time. Lines whose call failed are sent again."""

    def __init__(
        self,
        worker_id: str,
        lines: JobLines,
        api: LogApi,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker_id = worker_id
        self._lines = lines
        self._api = api
        self._clock = clock
        self._sending = asyncio.Lock()
        self._quiet_until = 0.0
        self._outage = Outage("job_logs", clock=clock)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._send_all()

    async def flush(self, seconds: float) -> bool:
        """Send until nothing is left, for `seconds` at most; whether that happened."""
        return await ends_within(seconds, self._send_until_empty())

    @property
    def has_lines(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._lines)

    async def send_of(self, jobs: Sequence[Claimed]) -> None:
        """Send the lines of jobs that have ended, if that does not take long."""
        if self._clock() < self._quiet_until:
            return
        left = [(job.id, job.attempt) for job in jobs]
        if not await ends_within(BEFORE_REPORT_SECONDS, self._send_each(left)):
            self._stay_quiet()

    async def _send_until_empty(self) -> None:
        while self._lines:
            await self._send_all()
            if self._lines:
                await asyncio.sleep(FLUSH_PAUSE)

    async def _send_each(self, attempts: list[tuple[str, int]]) -> None:
        for start in range(0, len(attempts), MAX_ATTEMPTS):
            part = attempts[start : start + MAX_ATTEMPTS]
            while await self._send(partial(self._lines.unsent_of, part, MAX_BYTES)):
                pass

    async def _send_all(self) -> None:
        """Until nothing is left or a call fails."""
        while await self._send(partial(self._lines.unsent, MAX_ATTEMPTS, MAX_BYTES)):
            pass

    async def _send(self, next_batch: Callable[[], list[NumberedLines]]) -> bool:
        """Send one batch. Whether there may be a next one: False if there was none, or if the call failed."""
        async with self._sending:
            batch = next_batch()
            if not batch:
                return False
            try:
                await self._api.append_log(self._request(batch), CALL_SECONDS)
            except ApiCallFailed as error:
                self._stay_quiet()
                if error.code not in REFUSED or asks_for_retry(error.status):
                    self._outage.failed(str(error))
                    return False
                log.warning("job_lines_refused", code=error.code_name, message=error.message)
            else:
                self._outage.succeeded()
            self._lines.note_sent(batch)
            return True

    def _stay_quiet(self) -> None:
        self._quiet_until = self._clock() + QUIET_SECONDS

    def _request(self, batch: list[NumberedLines]) -> AppendLogRequest:
        return AppendLogRequest(worker_id=self._worker_id, logs=map(_attempt_log, batch))


def _attempt_log(lines: NumberedLines) -> AttemptLog:
    entries = [_entry(number, line) for number, line in enumerate(lines.lines, lines.first)]
    return AttemptLog(job_id=lines.log.job_id, attempt=lines.log.attempt, entries=entries)


def _entry(number: int, line: JobLine) -> LogEntry:
    seconds = int(line.time)
    return LogEntry(
        number=number,
        time=Timestamp(seconds=seconds, nanos=int((line.time - seconds) * 1e9)),
        kind=KINDS[line.kind],
        level=line.level,
        logger=line.logger,
        message=line.message,
    )
