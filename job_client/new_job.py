"""A job to create, and its serialized form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from contract_runtime.structs import StructError, fill_struct
from job_client._gen.jobs.v1.job_service_pb2 import BatchCreateRequest, CreateRequest
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
from job_client.notify import Notify
from job_client.payloads import plain_payload
from job_client.retry_policy import RetryPolicy

MAX_BYTES = 2 * 1024 * 1024
"""The maximum of bytes of one job as protobuf.

Its payload may have half of that; the server's limits for the rest are far smaller.
"""
MAX_PATH = 300
"""The maximum of characters of the path to a wrong value in a payload. Its keys may be long."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """The arguments of a create; the contract's CreateRequest has their rules.

    `id`: a UUIDv7 of the last 24 hours; None: the client chooses one. A program that stores the id may create
    the job again later, even in another process, and there is still only one job. `attempt_timeout`: how long
    one attempt may run; a number is seconds. `payload`: a dict, a dataclass, a TypedDict or a pydantic model.
    """

    type: str
    payload: Any = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    id: UUID | str | None = None
    retry_policy: RetryPolicy | None = None
    schedule_time: datetime | None = None
    expire_time: datetime | None = None
    attempt_timeout: timedelta | float | None = None
    notify: Notify | None = None


@dataclass(frozen=True, slots=True)
class EncodedJob:
    """`wire` is a BatchCreateRequest with this job only.

    Concatenated, the bytes of several jobs are one request with all.
    """

    id: str
    wire: bytes

    @property
    def size(self) -> int:
        return len(self.wire)

    def request(self) -> CreateRequest:
        """The job as a request of Create."""
        return BatchCreateRequest.FromString(self.wire).requests[0]


def encode(job: NewJob) -> EncodedJob:
    """Serialize a job, with an id if it has none.

    Raises InvalidArgument, for any object, if a value does not fit the message. The server checks the other
    rules.
    """
    if NewJob not in type(job).__mro__:
        raise wrong_type("", "a NewJob", job)
    batch = BatchCreateRequest()
    request = batch.requests.add()
    field = ""
    try:
        for field, fill in FIELDS:  # noqa: B007 - the handler below names the field
            fill(request, job)
        field = ""
        wire = batch.SerializeToString()
    except InvalidArgument:
        raise
    except Exception as fault:  # noqa: BLE001 - raised by the code of the caller's objects
        raise unreadable(field, fault) from None
    if len(wire) > MAX_BYTES:
        raise invalid("", "size", f"must have at most {MAX_BYTES} bytes as protobuf, has {len(wire)}")
    return EncodedJob(request.id, wire)


def _fill_id(request: CreateRequest, job: NewJob) -> None:
    request.id = str(uuid7()) if job.id is None else id_text(job.id)


def _fill_payload(request: CreateRequest, job: NewJob) -> None:
    payload = plain_payload(job.payload)
    try:
        fill_struct(request.payload, dict(payload))
    except StructError as error:
        path = error.inside("payload").path
        raise invalid(path[:MAX_PATH], "struct.json", error.problem) from None


def _fill_type(request: CreateRequest, job: NewJob) -> None:
    request.type = text("type", job.type)


def _fill_labels(request: CreateRequest, job: NewJob) -> None:
    if job.labels is not None and job.labels != {}:
        request.labels.update(labels(job.labels))


def _fill_schedule_time(request: CreateRequest, job: NewJob) -> None:
    if job.schedule_time is not None:
        request.schedule_time.FromDatetime(moment("schedule_time", job.schedule_time))


def _fill_expire_time(request: CreateRequest, job: NewJob) -> None:
    if job.expire_time is not None:
        request.expire_time.FromDatetime(moment("expire_time", job.expire_time))


def _fill_attempt_timeout(request: CreateRequest, job: NewJob) -> None:
    if job.attempt_timeout is not None:
        request.timeout.CopyFrom(duration("attempt_timeout", job.attempt_timeout))


def _fill_retry_policy(request: CreateRequest, job: NewJob) -> None:
    """A value of None stays unset, so that the server's default holds."""
    policy: Any = job.retry_policy
    if policy is None:
        return
    if not isinstance(policy, RetryPolicy):
        raise wrong_type("retry_policy", "a RetryPolicy", policy)
    message = request.retry_policy
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


def _fill_notify(request: CreateRequest, job: NewJob) -> None:
    notify: Any = job.notify
    if notify is None:
        return
    if not isinstance(notify, Notify):
        raise wrong_type("notify", "a Notify", notify)
    request.notify.url = text("notify.url", notify.url)


FIELDS: tuple[tuple[str, Callable[[CreateRequest, NewJob], None]], ...] = (
    ("id", _fill_id),
    ("payload", _fill_payload),
    ("type", _fill_type),
    ("labels", _fill_labels),
    ("schedule_time", _fill_schedule_time),
    ("expire_time", _fill_expire_time),
    ("attempt_timeout", _fill_attempt_timeout),
    ("retry_policy", _fill_retry_policy),
    ("notify", _fill_notify),
)
"""Each field of NewJob with the function that checks it and copies it to the message."""
