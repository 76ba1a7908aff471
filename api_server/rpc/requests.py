"""Converts the contract's requests to arguments of the services. The requests were validated before."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from api_server.domain.attempt import Failure
from api_server.domain.changes import WatchFilter
from api_server.domain.creation import NewJob
from api_server.domain.fleet import OneType, OneWorker, Part, WorkerReport
from api_server.domain.job import ProgressNote, Status
from api_server.domain.listing import JobFilter, PageRequest, View
from api_server.domain.notify import Notify
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES
from api_server.domain.retry import DEFAULT_POLICY, FailureHint, RetryPolicy
from api_server.domain.status_update import UNEXPLAINED, Claim, StatusUpdate, Token
from api_server.services.creation import IdempotencyKey
from contract_runtime.content_digest import canonical_payload
from contract_runtime.errors import InvalidArgument, Violation, invalid
from contract_runtime.structs import StructError, struct_to_dict_and_size
from job_client._gen.jobs.v1 import fleet_service_pb2, job_pb2, job_service_pb2, worker_pb2

M = TypeVar("M", bound=Message)
T = TypeVar("T")
Metadata = tuple[tuple[str, str | bytes], ...]
STATUSES = {job_pb2.Job.Status.Value(status.value): status for status in Status}
VIEWS = {job_pb2.Job.full: View.FULL, job_pb2.Job.basic: View.BASIC}
KEY_HEADER = "idempotency-key"
MAX_KEY_LENGTH = 255
MILLISECOND = timedelta(milliseconds=1)
LATEST = datetime.max.replace(tzinfo=UTC) - MILLISECOND
MAX_PARTITIONS = 10_000
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000


def job_id(text: str) -> UUID:
    """The id. The contract admits upper case."""
    return UUID(text)


def new_job(request: job_service_pb2.CreateRequest, owner: str = "") -> NewJob:
    """Raises InvalidArgument if the payload is missing or exceeds a limit, or a time is out of range."""
    if not request.HasField("payload"):
        raise invalid("payload", "required", "value is required")
    payload, payload_size = _object(request.payload, "payload")
    return NewJob(
        type=request.type,
        payload=payload,
        payload_size=payload_size,
        canonical_payload=canonical_payload(request.payload)
        if payload_size <= MAX_TRAVELLING_BYTES
        else None,
        labels=dict(request.labels),
        id=job_id(request.id) if request.id else None,
        retry_policy=_policy(request.retry_policy) if request.HasField("retry_policy") else DEFAULT_POLICY,
        # The job must not start before the requested time.
        schedule_time=_stored_time(request, "schedule_time", round_up=True),
        expire_time=_stored_time(request, "expire_time"),
        timeout=_duration(request, "timeout"),
        notify=Notify(request.notify.url) if request.HasField("notify") else None,
        owner=owner,
    )


def new_jobs(request: job_service_pb2.BatchCreateRequest, owner: str = "") -> list[NewJob | InvalidArgument]:
    """For each item, its job or its error."""
    convert = partial(_new_job_of_batch, owner=owner)
    return [_or_error(convert, item) for item in request.requests]


def _new_job_of_batch(request: job_service_pb2.CreateRequest, owner: str) -> NewJob:
    if request.HasField("wait"):
        raise invalid("wait", "wait.single", "must not be set in a batch, which does not wait")
    return new_job(request, owner)


def new_expire_time(request: job_service_pb2.RetryRequest) -> datetime | None:
    """Raises InvalidArgument if it is out of range."""
    return _stored_time(request, "expire_time")


def idempotency_key(metadata: Metadata, request: job_service_pb2.CreateRequest) -> IdempotencyKey | None:
    """The key in the call's metadata, if any, and the hash of the request. Raises InvalidArgument."""
    value = key_value(metadata)
    if value is None:
        return None
    if request.HasField("wait"):
        # The same job is asked for, whatever the wait.
        wanted = job_service_pb2.CreateRequest()
        wanted.CopyFrom(request)
        wanted.ClearField("wait")
        request = wanted
    return IdempotencyKey(value, hashlib.sha256(request.SerializeToString(deterministic=True)).digest())


def key_value(metadata: Metadata) -> str | None:
    """The key in the call's metadata, if any. Raises InvalidArgument."""
    values = [value for name, value in metadata if name == KEY_HEADER]
    if not values:
        return None
    value = values[0]
    if len(values) > 1 or not isinstance(value, str):
        raise invalid(KEY_HEADER, "key.single", "must be sent once, as text")
    if not (1 <= len(value) <= MAX_KEY_LENGTH and value.isascii() and value.isprintable()):
        rule = f"must be 1 to {MAX_KEY_LENGTH} printable ASCII characters, has {len(value)} characters"
        raise invalid(KEY_HEADER, "key.format", rule)
    return value


def job_filter(request: job_service_pb2.ListRequest | job_service_pb2.JobFilter) -> JobFilter:
    """Raises InvalidArgument if a time is out of range, or a label has two values."""
    statuses, types = list(request.statuses), list(request.types)
    if isinstance(request, job_service_pb2.ListRequest):
        statuses.append(request.status)
        types.append(request.type)
    return JobFilter(
        statuses=frozenset(STATUSES[each] for each in statuses if each),
        types=frozenset(each for each in types if each),
        labels=_labels(request.labels),
        label_keys=frozenset(request.label_keys),
        error_reasons=frozenset(request.error_reasons),
        worker_ids=frozenset(request.worker_ids),
        created_from=_time(request, "create_time_from"),
        created_before=_time(request, "create_time_before"),
        ended_from=_time(request, "end_time_from"),
        ended_before=_time(request, "end_time_before"),
    )


def watch_filter(request: job_service_pb2.WatchRequest) -> WatchFilter:
    """Raises InvalidArgument if two labels contradict each other."""
    return WatchFilter(
        frozenset(STATUSES[status] for status in request.status),
        frozenset(request.type),
        _labels(request.labels),
    )


def page_request(request: job_service_pb2.ListRequest, after: UUID | None) -> PageRequest:
    """`after`: the id in the page token."""
    size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return PageRequest(size, after, request.oldest_first, VIEWS[request.view])


def update(request: job_service_pb2.UpdateStatusRequest, session: str = "") -> StatusUpdate:
    """`session`: see worker_session.session_hash. Raises InvalidArgument if the result exceeds a limit."""
    guard: Claim | Token | None = None
    if request.HasField("claim"):
        guard = Claim(
            request.claim.worker_id,
            request.claim.expected_attempt,
            request.claim.expected_type or None,
            request.claim.alone,
            request.claim.content_digest,
        )
    elif request.HasField("token"):
        guard = Token(request.token.worker_id, request.token.attempt, request.token.type)
    result, result_size = _object(request.result, "result") if request.HasField("result") else (None, None)
    return StatusUpdate(
        job_id=job_id(request.id),
        status=STATUSES[request.status],
        guard=guard,
        result=result,
        result_size=result_size,
        session=session,
        failure=_failure(request.error) if request.HasField("error") else None,
        hint=_hint(request.failure_hint) if request.HasField("failure_hint") else None,
    )


def updates(
    request: job_service_pb2.BatchUpdateStatusRequest, session: str = ""
) -> list[StatusUpdate | InvalidArgument]:
    """For each item, its update or its error."""
    convert = partial(update, session=session)
    return [_or_error(convert, item) for item in request.requests]


def worker_report(report: worker_pb2.WorkerReport) -> WorkerReport:
    """Raises InvalidArgument if the report names too many partitions."""
    if sum(len(item.partitions) for item in report.assignments) > MAX_PARTITIONS:
        raise invalid(
            "report.assignments", "partitions.max", f"must be at most {MAX_PARTITIONS} partitions in all"
        )
    return WorkerReport(
        state=worker_pb2.WorkerReport.State.Name(report.state),
        assignments={item.topic: tuple(item.partitions) for item in report.assignments},
        in_flight=report.in_flight,
        completed_total=report.completed_total,
        failed_total=report.failed_total,
        fleet_revision=report.fleet_revision,
        busy_types=tuple(report.busy_types),
    )


def progress_notes(request: fleet_service_pb2.HeartbeatRequest) -> list[ProgressNote]:
    """One note for each job: the last one in the request."""
    notes = {
        item.job_id.lower(): ProgressNote(
            job_id(item.job_id), item.attempt, item.progress.percent, item.progress.message
        )
        for item in request.progress
    }
    return list(notes.values())


def fleet_part(request: fleet_service_pb2.SetFleetRequest) -> Part | None:
    """The part of the fleet that the request names; None: the whole fleet."""
    if not request.HasField("part"):
        return None
    return OneWorker(request.part.worker) if request.part.HasField("worker") else OneType(request.part.type)


def _or_error(convert: Callable[[M], T], item: M) -> T | InvalidArgument:
    """The converted item, or its error: in a batch, one bad item must not fail the others."""
    try:
        return convert(item)
    except InvalidArgument as error:
        return error


def _object(struct: Struct, field: str) -> tuple[dict[str, Any], int]:
    """The object and its size as protobuf.

    The size is measured here once, and travels on with the job or the update.
    """
    try:
        return struct_to_dict_and_size(struct)
    except StructError as error:
        path = error.inside(field).path
        raise invalid(path, "struct.json", error.problem) from None


def _failure(error: job_pb2.JobError) -> Failure:
    return Failure(error.code or UNEXPLAINED.code, error.message, error.reason or UNEXPLAINED.reason)


def _hint(hint: job_service_pb2.FailureHint) -> FailureHint:
    return FailureHint(hint.permanent, _duration(hint, "retry_after"))


def _policy(policy: job_pb2.RetryPolicy) -> RetryPolicy:
    """The policy, with defaults for absent fields."""
    initial_backoff = _duration(policy, "initial_backoff")
    max_backoff = _duration(policy, "max_backoff")
    default = DEFAULT_POLICY
    return RetryPolicy(
        max_attempts=policy.max_attempts or default.max_attempts,
        initial_backoff=default.initial_backoff if initial_backoff is None else initial_backoff,
        max_backoff=default.max_backoff if max_backoff is None else max_backoff,
        multiplier=policy.multiplier if policy.HasField("multiplier") else default.multiplier,
        jitter=policy.jitter if policy.HasField("jitter") else default.jitter,
    )


def _labels(pairs: Any) -> dict[str, str]:
    labels: dict[str, str] = {}
    for index, pair in enumerate(pairs):
        key, _, value = pair.partition("=")
        if labels.setdefault(key, value) != value:
            raise InvalidArgument(
                [Violation(f"labels[{index}]", "labels.agree", f"has a second value for {key!r}")]
            )
    return labels


def _duration(message: Message, field: str) -> timedelta | None:
    """Exact to the microsecond."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    return duration.ToTimedelta()


def _time(message: Message, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        rule = "must be in the years 1 to 9999, with nanos from 0 to 999,999,999"
        raise invalid(field, "timestamp.range", rule) from None


def _stored_time(message: Message, field: str, *, round_up: bool = False) -> datetime | None:
    """The time in milliseconds, as times are stored: rounded down, or up with `round_up`."""
    time = _time(message, field)
    if time is None:
        return None
    beyond = timedelta(microseconds=time.microsecond % 1000)
    if round_up and beyond and time < LATEST:
        return time - beyond + MILLISECOND
    return time - beyond
