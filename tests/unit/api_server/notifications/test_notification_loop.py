"""What the loop of notifications does when a part of it fails. The stores are real in tests/integration."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from api_server.domain.errors import JobIdTaken, StoreUnavailable
from api_server.domain.job import Job, Status
from api_server.domain.notification import EndedJob, webhook_job
from api_server.notifications import notification_loop as module
from api_server.notifications.notification_loop import BATCH, NotificationLoop
from tests.integration.mongo.services import Offered, Uncounted
from tests.unit.api_server.dispatch.dispatch_fakes import NOW, FixedClock
from tests.waiting import until


def ended() -> EndedJob:
    return EndedJob(uuid4(), "compute", Status.COMPLETED, 3, NOW, "https://a.example/")


class Store:
    """An UnnotifiedStore and the part of a JobStore that the loop needs."""

    def __init__(self, waiting: Sequence[EndedJob] = ()) -> None:
        self.waiting = list(waiting)
        self.errors: list[Exception] = []
        self.jobs: dict[Any, Job] = {}
        self.taken: set[Any] = set()

    async def unnotified(self, limit: int) -> list[EndedJob]:
        if self.errors:
            raise self.errors.pop()
        return self.waiting[:limit]

    async def insert_all(self, jobs: Sequence[tuple[Job, datetime]]) -> list[Any]:
        return [
            JobIdTaken(job.id) if job.id in self.taken else self.jobs.setdefault(job.id, job)
            for job, _ in jobs
        ]

    async def mark_notified(self, done: Sequence[EndedJob]) -> None:
        self.waiting = [each for each in self.waiting if each not in done]


def make(store: Store, may_run: Callable[[], bool] = lambda: True) -> tuple[NotificationLoop, Offered]:
    offered = Offered()
    loop = NotificationLoop(
        store,
        store,  # type: ignore[arg-type]  # - the part of a JobStore that is used
        offered,
        FixedClock(),
        Uncounted(),
        may_run,
    )
    return loop, offered


async def test_a_step_stores_and_offers_a_batch_at_most() -> None:
    store = Store([ended() for _ in range(BATCH + 1)])
    loop, offered = make(store)
    assert [await loop.step() for _ in range(3)] == [BATCH, 1, 0]
    assert len(store.jobs) == len(offered.offers) == BATCH + 1
    assert set(offered.due_times) == {NOW + offered.grace}


async def test_a_webhook_that_was_stored_before_and_has_run_is_not_offered_again() -> None:
    store = Store([ended()])
    loop, offered = make(store)
    waiting = list(store.waiting)
    await loop.step()
    [(job_id, job)] = store.jobs.items()
    store.jobs[job_id] = replace(job, status=Status.COMPLETED, attempt=1)
    store.waiting = waiting
    assert await loop.step() == 1
    assert len(offered.offers) == 1
    assert not store.waiting


async def test_a_webhook_that_cannot_be_stored_does_not_hold_up_the_others() -> None:
    first, second = ended(), ended()
    store = Store([first, second])
    store.taken = {webhook_job(first).id}
    loop, offered = make(store)
    assert await loop.step() == 2
    assert [each.job_id for each in offered.offers] == [webhook_job(second).id]
    assert not store.waiting


@pytest.mark.parametrize("leads", [True, False])
async def test_the_loop_goes_on_after_errors_and_only_while_it_may_run(
    monkeypatch: pytest.MonkeyPatch, leads: bool
) -> None:
    monkeypatch.setattr(module, "TICK", 0.001)
    store = Store([ended()])
    store.errors = [StoreUnavailable(), RuntimeError("broken")]
    passes = 0

    def may_run() -> bool:
        nonlocal passes
        passes += 1
        return leads

    loop, _ = make(store, may_run)
    running = asyncio.create_task(loop.run())
    await until(lambda: passes > 5)
    assert bool(store.waiting) is not leads
    running.cancel()
