"""Converts what the services return to the contract's messages."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from api_server.domain.attempt import Attempt, Failure
from api_server.domain.errors import AnswerTooLarge
from api_server.domain.fleet import Fleet, Worker
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobCount, JobPage, View
from api_server.domain.resolution import Applied
from api_server.domain.retry import RetryPolicy
from contract_runtime.errors import ServiceError
from contract_runtime.job_fields import Kind, names_of
from contract_runtime.statuses import error_to_status
from contract_runtime.structs import fill_struct
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, worker_pb2

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUS_NUMBERS = {status: job_pb2.Job.Status.Value(status.value) for status in Status}
PLAIN = names_of(Kind.TEXT, Kind.NUMBER)
TIMES = names_of(Kind.TIME)
DURATIONS = names_of(Kind.DURATION)
OBJECTS = names_of(Kind.OBJECT)
"""The fields of each kind. They have the same names in the contract and in the domain."""
_plain, _times = attrgetter(*PLAIN), attrgetter(*TIMES)
"""All values of a kind at once, which is faster than one by one."""
FIELD_BYTES = 4
"""The tag and the length of a worker in a list."""
MAX_FLEET_BYTES = 256 * 1024
"""The desired state with all names that can be stopped."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""The default limit of gRPC clients.

A single job always fits. As JSON it can be six times as large, which is within the gateway's limit.
"""
FRAME_BYTES = 5
"""Bytes that the tag and the length of a job of up to 4 MiB take in an answer."""
BESIDES_JOBS_BYTES = 64
"""An upper bound for the size of a page token and a total size."""


def job_message(job: Job) -> job_pb2.Job:
    message = job_pb2.Job()
    _fill_job(message, job)
    return message


def summary_message(job: Job) -> job_pb2.Job:
    """The job without payload, result and history."""
    message = job_pb2.Job()
    _fill_small(message, job)
    return message


def _fill_job(message: job_pb2.Job, job: Job) -> None:
    _fill_small(message, job)
    for name in OBJECTS:
        if (data := getattr(job, name)) is not None:
            fill_struct(getattr(message, name), data)
    message.history.extend(map(_attempt_message, job.history))


def _fill_small(message: job_pb2.Job, job: Job) -> None:
    """All fields but those that may be large: the payload, the result and the history.

    Setting each field takes half the time of a constructor with messages for its fields.
    """
    message.id = str(job.id)
    message.status = STATUS_NUMBERS[job.status]
    message.retry_policy.CopyFrom(_policy_message(job.retry_policy))
    for name, value in zip(PLAIN, _plain(job), strict=True):
        if value:
            setattr(message, name, value)
    for name, time in zip(TIMES, _times(job), strict=True):
        if time is not None:
            fill_time(getattr(message, name), time)
    for name in DURATIONS:
        if (duration := getattr(job, name)) is not None:
            getattr(message, name).FromTimedelta(duration)
    if job.labels:
        message.labels.update(job.labels)
    if job.error is not None:
        message.error.CopyFrom(_error_message(job.error))
    if job.notify is not None:
        message.notify.url = job.notify.url
    _fill_progress(message, job)


def _fill_progress(message: job_pb2.Job, job: Job) -> None:
    if job.progress is not None:
        # A completed job has made all of its progress, whatever its handler said last.
        is_done = job.status is Status.COMPLETED
        message.progress.percent = 100.0 if is_done else job.progress.percent
        message.progress.message = job.progress.message


FILL = {View.FULL: _fill_job, View.BASIC: _fill_small}
"""Writes a job with the fields of a view into a message."""


@lru_cache(maxsize=256)
def _policy_message(policy: RetryPolicy) -> job_pb2.RetryPolicy:
    return job_pb2.RetryPolicy(
        max_attempts=policy.max_attempts,
        initial_backoff=duration_message(policy.initial_backoff),
        max_backoff=duration_message(policy.max_backoff),
        multiplier=policy.multiplier,
        jitter=policy.jitter,
    )


def _attempt_message(attempt: Attempt) -> job_pb2.Attempt:
    return job_pb2.Attempt(
        attempt=attempt.number,
        worker_id=attempt.worker_id,
        start_time=timestamp(attempt.start_time),
        end_time=timestamp(attempt.end_time),
        outcome=job_pb2.Attempt.Outcome.Value(attempt.outcome.value),
        error=_error_message(attempt.error) if attempt.error is not None else None,
    )


def _error_message(failure: Failure) -> job_pb2.JobError:
    message = job_pb2.JobError(message=failure.message, reason=failure.reason)
    message.code = failure.code
    return message


def list_message(
    page: JobPage,
    token_after: Callable[[UUID], str],
    view: View = View.FULL,
    count: JobCount | None = None,
) -> job_service_pb2.ListResponse:
    """The jobs of the page that fit into an answer, at least one.

    `token_after`: makes the page token for an id. `count`: None if it was not asked for.
    """
    response = job_service_pb2.ListResponse()
    if count is not None:
        response.total_size, response.total_size_capped = count.count, count.is_capped
    next_after, size = page.next_after, BESIDES_JOBS_BYTES
    for job in page.jobs:
        FILL[view](response.jobs.add(), job)
        size += response.jobs[-1].ByteSize() + FRAME_BYTES
        if size > MAX_ANSWER_BYTES and len(response.jobs) > 1:
            del response.jobs[-1]
            next_after = UUID(response.jobs[-1].id)
            break
    response.next_page_token = token_after(next_after) if next_after else ""
    return response


def created_message(
    outcomes: Sequence[Job | ServiceError], warnings: Sequence[str] = ()
) -> job_service_pb2.BatchCreateResponse:
    """An answer that is too large leaves fields out, because the jobs are stored: it must not fail."""
    response = job_service_pb2.BatchCreateResponse(outcomes=map(_created, outcomes), warnings=warnings)
    if response.ByteSize() > MAX_ANSWER_BYTES:
        for outcome in response.outcomes:
            if outcome.HasField("job"):
                outcome.job.ClearField("labels")
                outcome.job.ClearField("error")
                outcome.job.ClearField("progress")
                outcome.job.ClearField("notify")
    return response


def _created(outcome: Job | ServiceError) -> job_service_pb2.CreateOutcome:
    message = job_service_pb2.CreateOutcome()
    if isinstance(outcome, ServiceError):
        message.error.CopyFrom(error_to_status(outcome))
    else:
        _fill_small(message.job, outcome)
    return message


def found_message(
    job_ids: Sequence[UUID], jobs: Sequence[Job | None], view: View = View.FULL
) -> job_service_pb2.BatchGetResponse:
    """Raises AnswerTooLarge."""
    response = job_service_pb2.BatchGetResponse(
        missing_ids=[str(job_id) for job_id, job in zip(job_ids, jobs, strict=True) if job is None]
    )
    size = response.ByteSize()
    for job in jobs:
        if job is None:
            continue
        FILL[view](response.jobs.add(), job)
        size += response.jobs[-1].ByteSize() + FRAME_BYTES
        if size > MAX_ANSWER_BYTES:
            raise AnswerTooLarge(MAX_ANSWER_BYTES)
    return response


def outcome_message(outcome: Applied | ServiceError) -> job_service_pb2.UpdateOutcome:
    """The message is shared by many outcomes: do not change it."""
    if isinstance(outcome, ServiceError):
        return job_service_pb2.UpdateOutcome(error=error_to_status(outcome))
    return _accepted(outcome.status, outcome.attempt or 0)


@lru_cache(maxsize=256)
def _accepted(status: Status, attempt: int) -> job_service_pb2.UpdateOutcome:
    message = job_service_pb2.UpdateOutcome()
    message.accepted.status = STATUS_NUMBERS[status]
    message.accepted.attempt = attempt
    return message


def fleet_message(fleet: Fleet) -> worker_pb2.Fleet:
    return worker_pb2.Fleet(
        consuming=fleet.consuming,
        revision=fleet.revision,
        stopped_workers=fleet.stopped_workers,
        stopped_types=fleet.stopped_types,
    )


def worker_messages(workers: Sequence[Worker]) -> list[worker_pb2.Worker]:
    """The workers that fit into one answer, the smallest first to get a place, in the given order.

    A registration may be large. So a few large ones never keep the others out.
    """
    messages = [worker_message(worker) for worker in workers]
    sizes = [message.ByteSize() + FIELD_BYTES for message in messages]
    room = MAX_ANSWER_BYTES - MAX_FLEET_BYTES
    shown: set[int] = set()
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        room -= sizes[index]
        if room < 0:
            break
        shown.add(index)
    return [message for index, message in enumerate(messages) if index in shown]


def worker_message(worker: Worker) -> worker_pb2.Worker:
    identity, report = worker.identity, worker.report
    return worker_pb2.Worker(
        identity=worker_pb2.WorkerIdentity(
            worker_id=identity.worker_id,
            name=identity.name,
            host=identity.host,
            pid=identity.pid,
            types=identity.types,
            start_time=timestamp(identity.start_time),
            version=identity.version,
        ),
        report=worker_pb2.WorkerReport(
            state=worker_pb2.WorkerReport.State.Value(report.state),
            assignments=[
                worker_pb2.AssignedPartitions(topic=topic, partitions=partitions)
                for topic, partitions in report.assignments.items()
            ],
            in_flight=report.in_flight,
            completed_total=report.completed_total,
            failed_total=report.failed_total,
            fleet_revision=report.fleet_revision,
            busy_types=report.busy_types,
        ),
        last_heartbeat_time=timestamp(worker.last_heartbeat_time),
    )


def timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    fill_time(stamp, time)
    return stamp


def fill_time(stamp: Timestamp, time: datetime) -> None:
    """Does what Timestamp.FromDatetime does, in a third of the time."""
    since = time - EPOCH
    stamp.seconds = since.days * 86_400 + since.seconds
    stamp.nanos = since.microseconds * 1000


def duration_message(time: timedelta | None) -> Duration | None:
    if time is None:
        return None
    duration = Duration()
    duration.FromTimedelta(time)
    return duration
