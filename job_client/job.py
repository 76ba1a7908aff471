"""A job as the client returns it, decoded from the contract's message."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from contract_runtime.job_fields import FIELDS, Kind, names_of
from contract_runtime.structs import struct_to_dict
from job_client._gen.jobs.v1 import job_pb2, notify_pb2
from job_client.errors import CODES
from job_client.notify import Notify
from job_client.retry_policy import RetryPolicy


class Status(StrEnum):
    """The last three are final. Only Retry changes a job that is failed or cancelled."""

    UNSPECIFIED = "unspecified"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


BY_NUMBER = {number: Status(name) for name, number in job_pb2.Job.Status.items()}
ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
ENDED_NUMBERS = frozenset(number for number, status in BY_NUMBER.items() if status in ENDED)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed or was cancelled.

    `reason` is a stable name for programs, see docs/reference/errors.md.
    """

    code: grpc.StatusCode
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A handler's report of its progress. `percent` is between 0 and 100."""

    percent: float
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a job. `end_time` is None while it runs.

    `outcome`: `running`, `succeeded`, `errored`, `lost`, `handed_back` or `cancelled`.
    """

    attempt: int
    worker_id: str
    start_time: datetime
    end_time: datetime | None
    outcome: str
    error: Failure | None


@dataclass(frozen=True, slots=True)
class Job:
    """One job at one `revision`. Times are aware datetimes in UTC, by the database's clock. None: not
    reached, or not set.

    `payload` is None in the answer of a create, because its caller has the payload already.
    """

    id: str
    type: str
    status: Status
    payload: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    error: Failure | None
    attempt: int
    failures: int
    losses: int
    revision: int
    worker_id: str
    labels: Mapping[str, str]
    create_time: datetime
    update_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    schedule_time: datetime | None
    expire_time: datetime | None
    next_attempt_time: datetime | None
    progress: Progress | None
    retry_policy: RetryPolicy | None
    timeout: timedelta | None
    """How long one attempt may run."""
    history: tuple[Attempt, ...]
    """The latest attempts, oldest first. Empty in the answer of a create of several jobs."""
    notify: Notify | None
    """Whom the server notifies of the job's end."""
    warnings: tuple[str, ...] = ()
    """What callers should know though the job was stored; only in the answer of a create. For people."""

    @property
    def has_ended(self) -> bool:
        """Whether it is completed, failed or cancelled."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a list. `next_page_token` is "" on the last page.

    `total_size`: the number of jobs on all pages, None if it was not asked for; a lower bound if
    `total_size_capped`.
    """

    jobs: tuple[Job, ...]
    next_page_token: str
    total_size: int | None
    total_size_capped: bool


def to_job(message: job_pb2.Job, *, with_payload: bool = True) -> Job:
    """Copies every value, so that a job does not keep the whole answer of its batch in memory."""
    values = {name: getattr(message, name) for name in _PLAIN}
    for name, read in _CONVERTED:
        values[name] = read(getattr(message, name))
    has: Any = message.HasField  # its type knows only literal names
    for name, read in _OPTIONAL:
        values[name] = read(getattr(message, name)) if has(name) else None
    values["payload"] = (
        struct_to_dict(message.payload) if with_payload and message.HasField("payload") else None
    )
    if message.warnings:
        values["warnings"] = tuple(message.warnings)
    return Job(**values)


def _status(number: "job_pb2.Job.Status.ValueType") -> Status:
    return BY_NUMBER.get(number, Status.UNSPECIFIED)


def _failure(error: job_pb2.JobError) -> Failure:
    return Failure(CODES.get(error.code, grpc.StatusCode.UNKNOWN), error.reason, error.message)


def _progress(progress: job_pb2.Progress) -> Progress:
    return Progress(progress.percent, progress.message)


def _notify(notify: notify_pb2.Notify) -> Notify:
    return Notify(notify.url)


def _retry_policy(policy: job_pb2.RetryPolicy) -> RetryPolicy:
    return _policy_of(policy.SerializeToString())


@lru_cache(maxsize=256)
def _policy_of(serialized: bytes) -> RetryPolicy:
    """Most jobs of a program have the same policy."""
    policy = job_pb2.RetryPolicy.FromString(serialized)
    return RetryPolicy(
        policy.max_attempts,
        to_duration(policy.initial_backoff),
        to_duration(policy.max_backoff),
        policy.multiplier,
        policy.jitter,
    )


def _history(attempts: Iterable[job_pb2.Attempt]) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(
            each.attempt,
            each.worker_id,
            to_time(each.start_time),
            to_time(each.end_time) if each.HasField("end_time") else None,
            job_pb2.Attempt.Outcome.Name(each.outcome),
            _failure(each.error) if each.HasField("error") else None,
        )
        for each in attempts
    )


def to_time(stamp: Timestamp) -> datetime:
    """Cut to milliseconds, as times are stored. Three times as fast as ToDatetime."""
    return datetime.fromtimestamp(stamp.seconds + stamp.nanos // 1_000_000 / 1000, UTC)


def to_duration(duration: Duration) -> timedelta:
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.STATUS: _status,
    Kind.TIME: to_time,
    Kind.DURATION: to_duration,
    Kind.OBJECT: struct_to_dict,
    Kind.LABELS: dict,
    Kind.ERROR: _failure,
    Kind.RETRY_POLICY: _retry_policy,
    Kind.HISTORY: _history,
    Kind.PROGRESS: _progress,
    Kind.NOTIFY: _notify,
}
_PLAIN = names_of(Kind.ID, Kind.TEXT, Kind.NUMBER)
_ALWAYS_SET = {"create_time", "update_time", *names_of(Kind.STATUS, Kind.LABELS, Kind.HISTORY)}
_CONVERTED = tuple((name, _READERS[FIELDS[name]]) for name in FIELDS if name in _ALWAYS_SET)
_OPTIONAL = tuple(
    (name, _READERS[kind]) for name, kind in FIELDS.items() if name not in {*_PLAIN, *_ALWAYS_SET, "payload"}
)
