"""Stores in memory, of jobs and of operations, whose calls fail when a test says so."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api_server.domain.errors import JobNotFound, StoreUnavailable, TransitionRefused
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobCount, JobFilter, JobPage, PageRequest
from api_server.domain.operation import UNFINISHED, Batch, Operation, Refusal, State
from api_server.domain.resolution import Applied
from api_server.domain.transition import Transition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE, AFTER, FINE = "before", "after", "fine"
"""When a call fails: before it has had its effect, after it, or not at all."""


def job_of(number: int, status: Status = Status.QUEUED) -> Job:
    return Job(UUID(int=number + 1), "compute", status, {}, NOW, NOW)


class Failures:
    """Says for each call, in turn, when it fails. After the last one, no call fails."""

    def __init__(self, plan: Iterable[str] = ()) -> None:
        self._plan: Iterator[str] = iter(plan)

    def call(self, effect: Any) -> Any:
        """The value of `effect`, if the call does not fail."""
        failure = next(self._plan, FINE)
        if failure == BEFORE:
            raise StoreUnavailable
        value = effect()
        if failure == AFTER:
            raise StoreUnavailable
        return value


class FakeJobs:
    """Jobs that can be cancelled and retried. Counts the changes of each job."""

    def __init__(self, jobs: Iterable[Job], failures: Failures, gone: Iterable[UUID] = ()) -> None:
        """`gone`: jobs that are deleted after they were listed."""
        self.jobs = {job.id: job for job in jobs}
        self.changes = dict.fromkeys(self.jobs, 0)
        self._failures = failures
        self._gone = set(gone)
        self.page_size = 3
        self.filters: list[JobFilter] = []
        self.skips: list[UUID] = []
        self.can_skip = True

    async def page(self, wanted: JobFilter, page: PageRequest) -> JobPage:
        assert page.oldest_first
        self.filters.append(wanted)
        rest = [each for each in sorted(self.jobs) if page.after is None or each > page.after]
        # A page examines only some jobs, so it may be empty although it is not the last one.
        examined = rest[: min(self.page_size, page.size)]
        found = [self.jobs[each] for each in examined if self.jobs[each].status in wanted.statuses]
        next_after = examined[-1] if len(examined) < len(rest) else None
        answer: JobPage = self._failures.call(lambda: JobPage(found, next_after))
        return answer

    async def skip(self, wanted: JobFilter, after: UUID) -> UUID | None:
        """See UnfinishedJobs."""
        self.skips.append(after)
        if not self.can_skip:
            return after
        left = [each.id for each in self.jobs.values() if each.status in wanted.statuses and each.id > after]
        before: UUID | None = self._failures.call(lambda: UUID(int=min(left).int - 1) if left else None)
        return before

    async def count(self, wanted: JobFilter) -> JobCount:
        self.filters.append(wanted)
        count = sum(job.status in wanted.statuses for job in self.jobs.values())
        return JobCount(count, is_capped=False)

    async def apply(self, transitions: Sequence[Transition]) -> list[Any]:
        outcomes: list[Any] = self._failures.call(lambda: list(map(self._apply, transitions)))
        return outcomes

    def _apply(self, transition: Transition) -> Any:
        job, call = self.jobs[transition.job_id], transition.guard.call
        assert call is not None
        if job.id in self._gone:
            return JobNotFound(job.id)
        if call.was_done(job):
            return Applied(transition.change.status, None)
        if job.status not in transition.guard.statuses:
            return TransitionRefused("JOB_TERMINAL", "has ended", {})
        self.changes[job.id] += 1
        changed: dict[str, Any] = {"status": transition.change.status, call.name: call.id}
        self.jobs[job.id] = replace(job, **changed)
        return Applied(transition.change.status, None)


class FakeOperations:
    """One operation, changed by the same guards as in MongoDB."""

    def __init__(self, operation: Operation | None, failures: Failures) -> None:
        self.operation = operation
        self._failures = failures

    async def next_unfinished(self) -> Operation | None:
        operation: Operation | None = self._failures.call(
            lambda: self.operation if self.operation and self.operation.state in UNFINISHED else None
        )
        return operation

    async def begin_batch(self, operation: Operation, batch: Batch, now: datetime) -> bool:
        def effect() -> bool:
            present = self.operation
            if not self._is_as_read(operation) or present is None or present.batch is not None:
                return False
            if present.state not in UNFINISHED:
                return False
            self.operation = replace(present, batch=batch, state=State.RUNNING, update_time=now)
            return True

        began: bool = self._failures.call(effect)
        return began

    async def end_batch(
        self, operation: Operation, batch: Batch, refusals: Sequence[Refusal], now: datetime
    ) -> None:
        def effect() -> None:
            present = self.operation
            if present is None or present.batch is None or not self._is_as_read(operation):
                return
            self.operation = replace(
                present,
                batch=None,
                update_time=now,
                after=batch.next_after or present.after,
                has_tried_all=batch.next_after is None,
                changed=present.changed + len(batch.job_ids) - len(refusals),
                refused=present.refused + len(refusals),
                refusals=(*present.refusals, *refusals),
            )

        self._failures.call(effect)

    async def end(self, operation_id: UUID, state: State, now: datetime) -> None:
        def effect() -> None:
            if self.operation is not None and self.operation.state in UNFINISHED:
                assert self.operation.id == operation_id
                self.operation = replace(self.operation, state=state, end_time=now)

        self._failures.call(effect)

    def _is_as_read(self, operation: Operation) -> bool:
        present = self.operation
        return present is not None and (present.after, present.has_tried_all) == (operation.after, False)
