"""Converts logs of jobs from and to the contract's messages."""

from datetime import UTC, datetime

from api_server.domain.job_log import AttemptLog, EntryKind, JobLog, LogEntry
from api_server.rpc.answers import timestamp
from api_server.rpc.requests import job_id
from contract_runtime.errors import invalid
from job_client._gen.jobs.v1 import log_pb2


def log_message(log: JobLog, after_number: int) -> log_pb2.GetLogResponse:
    """`after_number`: the request's."""
    return log_pb2.GetLogResponse(entries=map(entry_message, log.after(after_number)), dropped=log.dropped)


def attempt_logs(request: log_pb2.AppendLogRequest) -> list[AttemptLog]:
    return [
        AttemptLog(
            job_id(each.job_id),
            each.attempt,
            [_entry(entry, each.attempt, request.worker_id) for entry in each.entries],
        )
        for each in request.logs
    ]


def entry_message(entry: LogEntry) -> log_pb2.LogEntry:
    return log_pb2.LogEntry(
        number=entry.number,
        time=timestamp(entry.time),
        kind=log_pb2.LogEntry.Kind.Value(entry.kind.value),
        attempt=entry.attempt,
        worker_id=entry.worker_id,
        level=entry.level,
        logger=entry.logger,
        message=entry.message,
    )


def _entry(message: log_pb2.LogEntry, attempt: int, worker_id: str) -> LogEntry:
    return LogEntry(
        number=message.number,
        time=_time(message),
        kind=EntryKind(log_pb2.LogEntry.Kind.Name(message.kind)),
        attempt=attempt,
        worker_id=worker_id,
        level=message.level,
        logger=message.logger,
        message=message.message,
    )


def _time(message: log_pb2.LogEntry) -> datetime:
    """Cut to milliseconds, as the database stores it."""
    try:
        time: datetime = message.time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid("logs.entries.time", "timestamp", "must be from year 1 to year 9999") from None
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
