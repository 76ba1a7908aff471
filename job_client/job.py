"""A job as the client returns it, decoded from the contract's message."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from contract_runtime.structs import struct_to_dict
from job_client.errors import CODES
from jobs.v1 import job_pb2


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

    @property
    def has_ended(self) -> bool:
        """Whether it is completed, failed or cancelled."""
        return self.status in ENDED


def to_job(message: job_pb2.Job, *, with_payload: bool = True) -> Job:
    """Copies every value, so that a job does not keep the whole answer of its batch in memory."""
    has = message.HasField
    return Job(
        id=message.id,
        type=message.type,
        status=BY_NUMBER.get(message.status, Status.UNSPECIFIED),
        payload=struct_to_dict(message.payload) if with_payload and has("payload") else None,
        result=struct_to_dict(message.result) if has("result") else None,
        error=_failure(message.error) if has("error") else None,
        attempt=message.attempt,
        failures=message.failures,
        losses=message.losses,
        revision=message.revision,
        worker_id=message.worker_id,
        labels=dict(message.labels) if message.labels else {},
        create_time=_time(message.create_time),
        update_time=_time(message.update_time),
        start_time=_time(message.start_time) if has("start_time") else None,
        end_time=_time(message.end_time) if has("end_time") else None,
        schedule_time=_time(message.schedule_time) if has("schedule_time") else None,
        expire_time=_time(message.expire_time) if has("expire_time") else None,
        next_attempt_time=_time(message.next_attempt_time) if has("next_attempt_time") else None,
        progress=Progress(message.progress.percent, message.progress.message) if has("progress") else None,
    )


def _failure(error: job_pb2.JobError) -> Failure:
    return Failure(CODES.get(error.code, grpc.StatusCode.UNKNOWN), error.reason, error.message)


def _time(stamp: Timestamp) -> datetime:
    """Cut to milliseconds, as times are stored. Three times as fast as ToDatetime."""
    return datetime.fromtimestamp(stamp.seconds + stamp.nanos // 1_000_000 / 1000, UTC)
