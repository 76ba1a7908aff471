"""A job to be created, and its form on the wire."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from job_client.errors import invalid
from jobs.v1 import job_pb2
from jobs.v1.job_service_pb2 import BatchCreateRequest, CreateRequest
from service_runtime.structs import StructError, dict_to_struct

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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
    """With its id. Raises InvalidArgument if there is no such message; what else is wrong the server says."""
    job_id = str(uuid7()) if job.id is None else id_text(job.id)
    batch = BatchCreateRequest()
    request = batch.requests.add()
    request.id = job_id
    try:
        request.payload.CopyFrom(dict_to_struct(dict(job.payload)))
        request.type = job.type
        if job.labels:
            request.labels.update(job.labels)
        _fill_times(request, job)
    except StructError as error:
        raise invalid(error.inside("payload").path, "struct.json", error.problem) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid("", "encode", str(error)) from None
    return Encoded(job_id, batch.SerializeToString())


def id_text(job_id: UUID | str) -> str:
    """The id as servers write it. Raises InvalidArgument if it is none."""
    text = str(job_id).lower()
    if _UUID.fullmatch(text) is None:
        raise invalid("id", "string.uuid", f"must be a UUID, is {text[:60]!r}")
    return text


def _fill_times(request: CreateRequest, job: NewJob) -> None:
    if job.schedule_time is not None:
        request.schedule_time.FromDatetime(_aware(job.schedule_time))
    if job.expire_time is not None:
        request.expire_time.FromDatetime(_aware(job.expire_time))
    if job.attempt_timeout is not None:
        request.timeout.FromTimedelta(job.attempt_timeout)
    if job.retry_policy is not None:
        _fill_policy(request.retry_policy, job.retry_policy)


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone")
    return time


def _fill_policy(message: job_pb2.RetryPolicy, policy: RetryPolicy) -> None:
    """What is None stays unset."""
    message.SetInParent()
    if policy.max_attempts is not None:
        message.max_attempts = policy.max_attempts
    if policy.initial_backoff is not None:
        message.initial_backoff.FromTimedelta(policy.initial_backoff)
    if policy.max_backoff is not None:
        message.max_backoff.FromTimedelta(policy.max_backoff)
    if policy.multiplier is not None:
        message.multiplier = policy.multiplier
    if policy.jitter is not None:
        message.jitter = policy.jitter
