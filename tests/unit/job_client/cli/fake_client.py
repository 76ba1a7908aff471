"""A JobClient without a server, and jobs for it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from job_client import (
    Failure,
    Job,
    JobNotFound,
    LogEntry,
    NewJob,
    Operation,
    Outcome,
    Status,
)
from job_client.job import ENDED

T = TypeVar("T")
ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOSTILE = "\x1b[31mred \x9b2J[bold]\u202e\x07"
"""Text that would change a terminal."""


def make_job(job_id: str = ID, status: str = "queued", **changes: Any) -> Job:
    job = Job(
        id=job_id,
        type="compute",
        status=Status(status),
        payload={"input": "hello"},
        result=None,
        error=None,
        attempt=0,
        failures=0,
        losses=0,
        revision=1,
        worker_id="",
        labels={},
        create_time=NOON,
        update_time=NOON,
        start_time=None,
        end_time=NOON if Status(status) in ENDED else None,
        schedule_time=None,
        expire_time=None,
        next_attempt_time=None,
        progress=None,
        retry_policy=None,
        timeout=None,
        history=(),
        notify=None,
    )
    return replace(job, **changes)


def failure(message: str = "no luck", reason: str = "HANDLER_ERROR") -> Failure:
    import grpc

    return Failure(grpc.StatusCode.INTERNAL, reason, message)


def make_operation(**changes: Any) -> Operation:
    operation = Operation(
        id=ID,
        kind="retry",
        state="finished",
        filter=None,
        reason="",
        create_time=NOON,
        update_time=NOON,
        end_time=NOON,
        matched=3,
        matched_capped=False,
        changed=3,
        refused=0,
        refusals=(),
    )
    return replace(operation, **changes)


class FakeHandle:
    def __init__(self, job: Job) -> None:
        self.id, self.job = job.id, job


class FakeClient:
    """`states`: what a watch yields, `entries`: what a log that is followed yields, `progress`: what a watch
    of an operation yields. `error`: what each call raises. `calls`: what was called.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.states: list[Job | BaseException] = []
        self.entries: list[LogEntry | BaseException] = []
        self.operations: list[Operation] = []
        self.progress: list[Operation | BaseException] = []
        self.outcome_of: Callable[[NewJob, int], Outcome] | None = None
        self.error: BaseException | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.is_closed = True

    def _called(self, name: str, **arguments: Any) -> None:
        self.calls.append((name, arguments))
        if self.error is not None:
            raise self.error

    def submit(self, job_type: str, payload: Any, **options: Any) -> FakeHandle:
        self._called("submit", type=job_type, payload=payload, **options)
        return FakeHandle(make_job(type=job_type, payload=None))

    def submit_many(self, jobs: Iterable[NewJob]) -> Iterator[Outcome]:
        self._called("submit_many")
        for number, job in enumerate(jobs, 1):
            if self.outcome_of is not None:
                yield self.outcome_of(job, number)
            else:
                yield Outcome(job, f"id-{number}", make_job(f"id-{number}"))

    def get(self, job_id: str) -> Job:
        self._called("get", id=job_id)
        if job_id not in self.jobs:
            raise JobNotFound(f"there is no job {job_id}", reason="JOB_NOT_FOUND")
        return self.jobs[job_id]

    def list(self, **options: Any) -> Iterator[Job]:
        self._called("list", **options)
        yield from list(self.jobs.values())[: options["limit"]]

    def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        self._called("wait", id=job_id, timeout=timeout)
        return self.jobs[job_id]

    def watch(self, job: str | None = None, **options: Any) -> Iterator[Job]:
        self._called("watch", id=job, **options)
        yield from _each(self.states)

    def follow_log(self, job_id: str, *, after_number: int) -> Iterator[LogEntry]:
        self._called("follow_log", id=job_id, after_number=after_number)
        yield from _each(self.entries)

    def cancel(self, job_id: str, *, reason: str = "") -> Job:
        self._called("cancel", id=job_id, reason=reason)
        return self.get(job_id)

    def retry(self, job_id: str) -> Job:
        self._called("retry", id=job_id)
        return self.get(job_id)

    def bulk_cancel(self, **options: Any) -> Operation:
        self._called("bulk_cancel", **options)
        return self.operations.pop(0)

    def bulk_retry(self, **options: Any) -> Operation:
        self._called("bulk_retry", **options)
        return self.operations.pop(0)

    def watch_operation(self, operation_id: str) -> Iterator[Operation]:
        self._called("watch_operation", id=operation_id)
        yield from _each(self.progress)

    def explain(self, job_id: str) -> Any:
        return self._answer("explain", id=job_id)

    def log(self, job_id: str, *, after_number: int) -> Any:
        return self._answer("log", id=job_id, after_number=after_number)

    def stats(self) -> Any:
        return self._answer("stats")

    def types(self) -> Any:
        return self._answer("types")

    def workers(self) -> Any:
        return self._answer("workers")

    def start(self, *, worker: str | None, job_type: str | None) -> Any:
        return self._answer("start", worker=worker, type=job_type)

    def stop(self, *, worker: str | None, job_type: str | None) -> Any:
        return self._answer("stop", worker=worker, type=job_type)

    def _answer(self, name: str, **arguments: Any) -> Any:
        self._called(name, **arguments)
        return self.answers[name]


def _each(items: Iterable[T | BaseException]) -> Iterator[T]:
    """The items, until one is an error, which is raised."""
    for item in items:
        if isinstance(item, BaseException):
            raise item
        yield item
