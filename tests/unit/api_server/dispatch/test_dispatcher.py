"""Publishing outside the request: what is published, marked, and left to the due loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from api_server.dispatch import dispatcher as dispatcher_module
from api_server.dispatch.dispatcher import QueuedDispatcher
from api_server.domain.creation import DISPATCH_GRACE
from api_server.domain.record_positions import RecordPosition
from tests.unit.api_server.dispatch.dispatch_fakes import (
    NOW,
    FakeDueStore,
    FakePublisher,
    FixedClock,
    ids,
    make_dispatch,
)
from tests.waiting import until

SOON, LATER = NOW + dispatcher_module.MARK_BEFORE, NOW + timedelta(hours=1)
"""Due times. A job that is due SOON is marked if nobody claims it."""


@asynccontextmanager
async def running(
    publisher: FakePublisher, store: FakeDueStore, max_jobs: int = 100, max_unmarked: int = 100
) -> AsyncIterator[QueuedDispatcher]:
    dispatcher = QueuedDispatcher(
        publisher, store, FixedClock(), max_jobs=max_jobs, max_unmarked=max_unmarked
    )
    await dispatcher.start()
    try:
        yield dispatcher
    finally:
        publisher.gate.set()
        await dispatcher.stop()


async def test_jobs_offered_during_a_publish_go_together_in_the_next_one() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        publisher.gate.clear()
        jobs = [make_dispatch() for _ in range(10)]
        dispatcher.offer(jobs[0], LATER)
        await until(lambda: bool(dispatcher._in_flight))
        for job in jobs[1:]:
            dispatcher.offer(job, LATER)
        publisher.gate.set()
        await until(lambda: publisher.published == jobs)
    assert publisher.batches == [1, 9]


async def test_under_load_a_publish_waits_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "WAIT_PER_JOB", 60.0)
    monkeypatch.setattr(dispatcher_module, "MAX_WAIT", 60.0)
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        dispatcher.offer(make_dispatch(), LATER)
        await until(lambda: publisher.batches == [1])
        for _ in range(7):
            dispatcher.offer(make_dispatch(), LATER)
            await asyncio.sleep(0)
        assert publisher.batches == [1]
    # Stopping ends the wait.
    assert publisher.batches == [1, 7]


async def test_the_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "WAIT_PER_JOB", 60.0)
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        dispatcher.offer(make_dispatch(), LATER)
        await until(lambda: publisher.batches == [1])
        dispatcher.offer(make_dispatch(), LATER)
        await until(lambda: publisher.batches == [1, 1])


async def test_a_full_batch_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "WAIT_PER_JOB", 60.0)
    monkeypatch.setattr(dispatcher_module, "MAX_WAIT", 60.0)
    monkeypatch.setattr(dispatcher_module, "MAX_BATCH_JOBS", 3)
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        jobs = [make_dispatch() for _ in range(7)]
        for job in jobs:
            dispatcher.offer(job, LATER)
        await until(lambda: publisher.batches == [3, 3])
    assert publisher.batches == [3, 3, 1]


async def test_a_job_claimed_before_it_is_marked_costs_no_write() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        job = make_dispatch()
        dispatcher.offer(job, LATER)
        await until(lambda: job.job_id in dispatcher._published)
        dispatcher.jobs_claimed([job.job_id])
    assert store.statements == 0


async def test_a_job_claimed_before_the_broker_answers_costs_no_write() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        publisher.gate.clear()
        job = make_dispatch()
        dispatcher.offer(job, LATER)
        await until(lambda: job.job_id in dispatcher._in_flight)
        dispatcher.jobs_claimed([job.job_id])
        publisher.gate.set()
        await until(lambda: publisher.published == [job])
    assert store.statements == 0


async def test_a_withdrawn_job_costs_no_write_and_the_others_are_marked() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        first, published, queued = (make_dispatch() for _ in range(3))
        for job in (first, published):
            dispatcher.offer(job, LATER)
        await until(lambda: published.job_id in dispatcher._published)
        publisher.gate.clear()
        dispatcher.offer(make_dispatch(), LATER)
        await until(lambda: bool(dispatcher._in_flight))
        dispatcher.offer(queued, LATER)
        dispatcher.jobs_withdrawn([published.job_id, queued.job_id])
    assert queued not in publisher.published
    assert ids(store.marked)[0] == (first.job_id, 0)
    assert len(store.marked) == 2


async def test_unclaimed_jobs_that_are_soon_due_are_marked_with_their_attempt_in_one_statement() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        jobs = [make_dispatch(attempt=attempt) for attempt in range(20)]
        for job in jobs:
            dispatcher.offer(job, SOON)
        dispatcher.offer(make_dispatch(), LATER)
        await until(lambda: len(store.marked) == 20)
    assert ids(store.marked[:20]) == [(job.job_id, job.attempt) for job in jobs]
    assert [each.position for each in store.marked[:20]] == [
        RecordPosition(0, offset, 0) for offset in range(20)
    ]
    assert store.statements == 2  # the other one is marked when the server stops


async def test_when_too_many_jobs_are_unclaimed_the_oldest_are_marked_early() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store, max_unmarked=3) as dispatcher:
        jobs = [make_dispatch() for _ in range(5)]
        for job in jobs:
            dispatcher.offer(job, LATER)
        await until(lambda: len(store.marked) == 2)
        assert ids(store.marked) == [(job.job_id, 0) for job in jobs[:2]]
        assert len(dispatcher._published) == 3


async def test_a_new_job_is_due_later_when_more_jobs_are_unclaimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher_module, "MAX_GRACE", DISPATCH_GRACE + timedelta(milliseconds=12))
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store) as dispatcher:
        assert dispatcher.grace == DISPATCH_GRACE
        jobs = [make_dispatch() for _ in range(12)]
        for job in jobs[:10]:
            dispatcher.offer(job, LATER)
        assert dispatcher.grace == DISPATCH_GRACE + timedelta(milliseconds=10)
        await until(lambda: len(dispatcher._published) == 10)
        assert dispatcher.grace == DISPATCH_GRACE + timedelta(milliseconds=10)
        for job in [*jobs[10:], make_dispatch()]:
            dispatcher.offer(job, LATER)
        assert dispatcher.grace == DISPATCH_GRACE + timedelta(milliseconds=12)
        dispatcher.jobs_claimed([job.job_id for job in jobs])
        assert dispatcher.grace == DISPATCH_GRACE + timedelta(milliseconds=1)


async def test_a_job_that_was_not_published_is_not_marked() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    refused, written = make_dispatch(), make_dispatch()
    publisher.refuses = lambda dispatch: dispatch is refused
    async with running(publisher, store) as dispatcher:
        dispatcher.offer(refused, LATER)
        dispatcher.offer(written, LATER)
    assert ids(store.marked) == [(written.job_id, 0)]


async def test_a_publisher_that_hangs_does_not_block_offers_and_the_queue_stays_bounded() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    async with running(publisher, store, max_jobs=5) as dispatcher:
        publisher.gate.clear()
        dispatcher.offer(make_dispatch(), LATER)
        await until(lambda: bool(dispatcher._in_flight))
        for _ in range(12):
            dispatcher.offer(make_dispatch(), LATER)
        assert (len(dispatcher._queue), dispatcher.dropped) == (5, 7)


async def test_a_store_that_is_away_when_marking_stops_nothing() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    store.reachable = False
    async with running(publisher, store) as dispatcher:
        dispatcher.offer(make_dispatch(), SOON)
        await until(lambda: store.statements == 1)
        store.reachable = True
        job = make_dispatch()
        dispatcher.offer(job, SOON)
        await until(lambda: ids(store.marked) == [(job.job_id, 0)])


async def test_an_error_of_the_publisher_loses_one_batch_only() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    broken, good = make_dispatch(), make_dispatch()

    def refuse(dispatch: object) -> bool:
        if dispatch is broken:
            raise RuntimeError("a fault")
        return False

    publisher.refuses = refuse
    async with running(publisher, store) as dispatcher:
        dispatcher.offer(broken, LATER)
        await until(lambda: len(publisher.batches) == 1)
        dispatcher.offer(good, LATER)
        await until(lambda: publisher.published == [good])


async def test_stopping_publishes_what_is_queued_and_marks_what_was_published() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    dispatcher = QueuedDispatcher(publisher, store, FixedClock())
    await dispatcher.start()
    jobs = [make_dispatch() for _ in range(1200)]
    for job in jobs:
        dispatcher.offer(job, LATER)
    await dispatcher.stop()
    assert publisher.published == jobs
    assert ids(store.marked) == [(job.job_id, 0) for job in jobs]


async def test_stopping_gives_up_on_a_publisher_that_hangs() -> None:
    publisher, store = FakePublisher(), FakeDueStore()
    publisher.gate.clear()
    dispatcher = QueuedDispatcher(publisher, store, FixedClock())
    await dispatcher.start()
    dispatcher.offer(make_dispatch(), LATER)
    async with asyncio.timeout(10):
        await dispatcher.stop(grace=0.05)
    assert store.marked == []
