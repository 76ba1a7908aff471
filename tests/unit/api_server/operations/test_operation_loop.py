"""The loop that runs operations: what it changes and counts, whatever fails."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Status
from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.operation import (
    CHANGEABLE,
    UNFINISHED,
    Kind,
    Operation,
    State,
    jobs_to_change,
)
from api_server.operations import operation_loop
from api_server.operations.operation_loop import MAX_ERRORS, OperationLoop
from tests.unit.api_server.operations.operation_fakes import (
    AFTER,
    BEFORE,
    FINE,
    NOW,
    Failures,
    FakeJobs,
    FakeOperations,
    job_of,
)
from tests.waiting import until

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


class Withdrawals:
    """The part of a dispatcher that the loop uses."""

    def __init__(self) -> None:
        self.job_ids: list[UUID] = []

    def jobs_withdrawn(self, job_ids: Sequence[UUID]) -> None:
        self.job_ids += job_ids


class StoppedClock:
    def now(self) -> datetime:
        return LATER


def operation_of(kind: Kind = Kind.BULK_CANCEL, wanted: JobFilter | None = None) -> Operation:
    matched = JobCount(0, is_capped=False)
    return Operation(ID, kind, wanted or JobFilter(), "no need", LATER, LATER, matched)


def loop_of(store: Any, jobs: Any, *, leads: bool = True, dispatcher: Any = None) -> OperationLoop:
    withdrawals: Any = dispatcher or Withdrawals()
    return OperationLoop(store, jobs, jobs, withdrawals, StoppedClock(), lambda: leads)


async def run_to_the_end(store: FakeOperations, jobs: FakeJobs) -> Operation:
    """Each failure ends a server, and another one goes on."""
    loop = loop_of(store, jobs)
    for _ in range(1000):
        assert store.operation is not None
        if store.operation.state not in UNFINISHED:
            return store.operation
        try:
            await loop.step()
        except StoreUnavailable:
            loop = loop_of(store, jobs)
    raise AssertionError("the operation does not end")


statuses = st.lists(st.sampled_from(Status), max_size=12)
failures = st.lists(st.sampled_from([BEFORE, AFTER, FINE]), max_size=25)


@given(st.sampled_from(Kind), statuses, failures, st.sets(st.integers(0, 11)))
async def test_each_job_is_changed_once_and_counted_once_whatever_fails(
    kind: Kind, present: list[Status], plan: Iterable[str], gone: set[int]
) -> None:
    all_failures = Failures(plan)
    before = [job_of(number, status) for number, status in enumerate(present)]
    jobs = FakeJobs(before, all_failures, {job_of(number).id for number in gone})
    operation = await run_to_the_end(FakeOperations(operation_of(kind), all_failures), jobs)

    eligible = {job.id for job in before if job.status in CHANGEABLE[kind]}
    lost = {job_of(number).id for number in gone} & eligible
    assert operation.state is State.FINISHED
    assert {job_id for job_id, count in jobs.changes.items() if count} == eligible - lost
    assert max(jobs.changes.values(), default=0) <= 1
    assert (operation.changed, operation.refused) == (len(eligible - lost), len(lost))
    assert {refusal.job_id for refusal in operation.refusals} == lost
    assert {refusal.reason for refusal in operation.refusals} <= {"JOB_NOT_FOUND"}


async def test_a_bulk_cancel_skips_jobs_that_have_ended() -> None:
    waiting = {50, 51, 90}
    jobs = FakeJobs(
        [job_of(number, Status.QUEUED if number in waiting else Status.COMPLETED) for number in range(200)],
        Failures(),
    )
    operation = await run_to_the_end(FakeOperations(operation_of(), Failures()), jobs)

    assert operation.changed == 3
    # Of 200 jobs, few were examined: three jobs in each page.
    assert len(jobs.filters) <= 6
    assert len(jobs.skips) == 3


async def test_where_it_cannot_skip_it_walks_and_tries_again_later() -> None:
    jobs = FakeJobs([job_of(number, Status.COMPLETED) for number in range(100)], Failures())
    jobs.can_skip = False
    operation = await run_to_the_end(FakeOperations(operation_of(), Failures()), jobs)

    assert operation.state is State.FINISHED
    assert len(jobs.filters) == 34
    assert len(jobs.skips) == 3


async def test_a_bulk_retry_skips_nothing() -> None:
    jobs = FakeJobs([job_of(number, Status.QUEUED) for number in range(20)], Failures())
    await run_to_the_end(FakeOperations(operation_of(Kind.BULK_RETRY), Failures()), jobs)
    assert jobs.skips == []


async def test_a_job_that_fails_again_is_not_retried_again() -> None:
    jobs = FakeJobs([job_of(1, Status.FAILED)], Failures())
    store = FakeOperations(operation_of(Kind.BULK_RETRY), Failures([FINE, FINE, BEFORE]))
    with pytest.raises(StoreUnavailable):
        await loop_of(store, jobs).step()
    job_id = job_of(1).id
    assert jobs.jobs[job_id].status is Status.QUEUED
    jobs.jobs[job_id] = replace(jobs.jobs[job_id], status=Status.FAILED)
    operation = await run_to_the_end(store, jobs)
    assert (operation.changed, jobs.changes[job_id]) == (1, 1)


async def test_an_operation_that_was_cancelled_changes_no_further_batch() -> None:
    jobs = FakeJobs([job_of(number) for number in range(9)], Failures())
    store = FakeOperations(operation_of(), Failures())
    loop = loop_of(store, jobs)
    await loop.step()
    await store.end(ID, State.CANCELLED, LATER)
    assert await loop.step() is None
    assert store.operation is not None
    assert (store.operation.state, store.operation.changed) == (State.CANCELLED, jobs.page_size)
    assert sum(jobs.changes.values()) == jobs.page_size


async def test_cancelled_jobs_leave_the_dispatcher() -> None:
    dispatcher = Withdrawals()
    jobs = FakeJobs([job_of(1)], Failures())
    await loop_of(FakeOperations(operation_of(), Failures()), jobs, dispatcher=dispatcher).step()
    assert dispatcher.job_ids == [job_of(1).id]


async def test_a_server_that_does_not_lead_changes_nothing() -> None:
    jobs = FakeJobs([job_of(1)], Failures())
    store = FakeOperations(operation_of(), Failures())
    assert await loop_of(store, jobs, leads=False).step() is None
    assert store.operation == operation_of()


async def test_a_pause_follows_each_batch() -> None:
    jobs = FakeJobs([job_of(number) for number in range(9)], Failures())
    pause = await loop_of(FakeOperations(operation_of(), Failures()), jobs).step()
    assert pause is not None
    assert pause >= operation_loop.SHORTEST_PAUSE


async def test_an_operation_with_unexpected_errors_has_failed_and_others_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operation_loop, "IDLE_SECONDS", 0.001)

    class Broken(FakeJobs):
        tried = 0

        async def apply(self, _transitions: Any) -> list[Any]:
            self.tried += 1
            raise RuntimeError("a fault")

    jobs = Broken([job_of(1)], Failures())
    store = FakeOperations(operation_of(), Failures())
    with capture_logs() as logs:
        running = asyncio.create_task(loop_of(store, jobs).run())
        await until(lambda: store.operation and store.operation.state is State.FAILED)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
    assert jobs.tried == MAX_ERRORS
    assert [line["event"] for line in logs] == ["operation_step_failed"] * MAX_ERRORS + ["operation_ended"]


async def test_a_call_wakes_a_loop_that_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_loop, "IDLE_SECONDS", 3600.0)
    jobs = FakeJobs([job_of(1)], Failures())
    store = FakeOperations(None, Failures())
    loop = loop_of(store, jobs)
    running = asyncio.create_task(loop.run())
    await asyncio.sleep(0)
    store.operation = operation_of()
    loop.wake()
    await until(lambda: store.operation and store.operation.state is State.FINISHED)
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize(
    ("kind", "asked", "selected"),
    [
        (Kind.BULK_CANCEL, set(), {Status.QUEUED, Status.PROCESSING}),
        (Kind.BULK_CANCEL, {Status.QUEUED, Status.FAILED}, {Status.QUEUED}),
        (Kind.BULK_CANCEL, {Status.COMPLETED}, None),
        (Kind.BULK_RETRY, set(), {Status.FAILED, Status.CANCELLED}),
        (Kind.BULK_RETRY, {Status.CANCELLED}, {Status.CANCELLED}),
        (Kind.BULK_RETRY, {Status.QUEUED, Status.PROCESSING, Status.COMPLETED}, None),
    ],
)
def test_an_operation_selects_only_jobs_that_it_can_change(
    kind: Kind, asked: set[Status], selected: set[Status] | None
) -> None:
    found = jobs_to_change(kind, JobFilter(statuses=frozenset(asked)), NOW)
    assert (found and set(found.statuses)) == selected


@pytest.mark.parametrize(
    ("before", "used"), [(None, NOW), (LATER, NOW), (NOW - timedelta(1), NOW - timedelta(1))]
)
def test_an_operation_leaves_jobs_alone_that_are_created_after_it(
    before: datetime | None, used: datetime
) -> None:
    found = jobs_to_change(Kind.BULK_CANCEL, JobFilter(created_before=before), NOW)
    assert found is not None
    assert found.created_before == used


async def test_a_filter_for_other_statuses_changes_nothing() -> None:
    """Without statuses a filter would select every job."""
    jobs = FakeJobs([job_of(1), job_of(2, Status.COMPLETED)], Failures())
    wanted = JobFilter(statuses=frozenset({Status.COMPLETED}))
    operation = await run_to_the_end(FakeOperations(operation_of(wanted=wanted), Failures()), jobs)
    assert (operation.state, operation.changed, operation.refused) == (State.FINISHED, 0, 0)
    assert jobs.filters == []
