"""A job to be created, and its form on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from contract_runtime.structs import StructError, fill_struct
from job_client.errors import InvalidArgument, invalid
from job_client.fields import (
    duration,
    id_text,
    labels,
    moment,
    real,
    text,
    unreadable,
    whole,
    wrong_type,
)
from jobs.v1 import job_pb2
from jobs.v1.job_service_pb2 import BatchCreateRequest, CreateRequest

MAX_BYTES = 2 * 1024 * 1024
"""Of one job as protobuf. A payload may have half of that, and all else that a server takes is much smaller."""
MAX_PATH = 300
"""Characters of the path to a wrong value in a payload; its keys may be long."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a job is tried again after its handler failed; None: the server's default (docs/howto/retry-jobs.md)."""

    max_attempts: int | None = None
    initial_backoff: timedelta | None = None
    max_backoff: timedelta | None = None
    multiplier: float | None = None
    jitter: float | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What may be said of a job at its creation; the rules are those of CreateRequest in the contract.

    `id`: a UUIDv7 of the last 24 hours; None: the client chooses one. Who keeps the id may create the job again later, in another
    process even, and still make one job. `attempt_timeout`: how long one attempt of the handler may run.
    """

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    id: UUID | str | None = None
    retry_policy: RetryPolicy | None = None
    schedule_time: datetime | None = None
    expire_time: datetime | None = None
    attempt_timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """`wire` is a BatchCreateRequest with this one job: one after the other such bytes are a request with all their jobs."""

    id: str
    wire: bytes

    @property
    def size(self) -> int:
        return len(self.wire)

    def request(self) -> CreateRequest:
        """For a Create of its own."""
        return BatchCreateRequest.FromString(self.wire).requests[0]


def encode(job: NewJob) -> Encoded:
    """With its id. Raises InvalidArgument if there is no such message, whatever was handed in; what else is wrong the server says."""
    if NewJob not in type(job).__mro__:
        raise wrong_type("", "a NewJob", job)
    field = ""
    try:
        batch = BatchCreateRequest()
        request = batch.requests.add()
        field = "id"
        job_id = str(uuid7()) if job.id is None else id_text(job.id)
        request.id = job_id
        field = "payload"
        _fill_payload(request, job.payload)
        field = "type"
        request.type = text(field, job.type)
        field = "labels"
        if job.labels is not None and job.labels != {}:
            request.labels.update(labels(job.labels))
        field = "schedule_time"
        if job.schedule_time is not None:
            request.schedule_time.FromDatetime(moment(field, job.schedule_time))
        field = "expire_time"
        if job.expire_time is not None:
            request.expire_time.FromDatetime(moment(field, job.expire_time))
        field = "attempt_timeout"
        if job.attempt_timeout is not None:
            request.timeout.CopyFrom(duration(field, job.attempt_timeout))
        field = "retry_policy"
        if job.retry_policy is not None:
            _fill_policy(request.retry_policy, job.retry_policy)
        field = ""
        wire = batch.SerializeToString()
    except InvalidArgument:
        raise
    except Exception as fault:  # noqa: BLE001 - the code of what was handed in
        raise unreadable(field, fault) from None
    if len(wire) > MAX_BYTES:
        raise invalid("", "size", f"must have at most {MAX_BYTES} bytes as protobuf, has {len(wire)}")
    return Encoded(job_id, wire)


def _fill_payload(request: CreateRequest, payload: Any) -> None:
    if not isinstance(payload, Mapping):
        raise wrong_type("payload", "a mapping", payload)
    try:
        fill_struct(request.payload, dict(payload))
    except StructError as error:
        path = error.inside("payload").path
        raise invalid(path[:MAX_PATH], "struct.json", error.problem) from None


def _fill_policy(message: job_pb2.RetryPolicy, policy: Any) -> None:
    """What is None stays unset."""
    if not isinstance(policy, RetryPolicy):
        raise wrong_type("retry_policy", "a RetryPolicy", policy)
    message.SetInParent()
    if policy.max_attempts is not None:
        message.max_attempts = whole("retry_policy.max_attempts", policy.max_attempts)
    if policy.initial_backoff is not None:
        message.initial_backoff.CopyFrom(duration("retry_policy.initial_backoff", policy.initial_backoff))
    if policy.max_backoff is not None:
        message.max_backoff.CopyFrom(duration("retry_policy.max_backoff", policy.max_backoff))
    if policy.multiplier is not None:
        message.multiplier = real("retry_policy.multiplier", policy.multiplier)
    if policy.jitter is not None:
        message.jitter = real("retry_policy.jitter", policy.jitter)
