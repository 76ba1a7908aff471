"""The life of a few jobs on a real mongod, with changes in any order, compared with a model.

The changes use tokens of all attempts, past and present, so most of them are late, repeated or wrong. After
each change, every job that it may have changed is compared with its model, and the invariants are checked.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api_server.adapters.mongo.documents import to_job
from api_server.adapters.mongo.stores import MongoStores, connect
from api_server.domain.attempt import Failure
from api_server.domain.creation import NewJob
from api_server.domain.errors import TransitionRefused
from api_server.domain.job import Job, ProgressNote, Status
from api_server.domain.record_positions import RecordPosition
from api_server.domain.resolution import Applied
from api_server.domain.retry import FailureHint, RetryPolicy
from api_server.domain.status_update import Claim, Leases, StatusUpdate, Token
from api_server.ports import Published
from api_server.services.job_types import KnownJobTypes
from api_server.services.jobs import JobRules, JobService
from api_server.services.stopped_claims import StoppedClaims
from local_stack.mongodb import uri
from local_stack.stack import Stack
from tests.integration.mongo import job_model
from tests.integration.mongo.job_model import ModelJob
from tests.integration.mongo.services import AlwaysConsuming, Offered, Uncounted

EXAMPLES, CHANGES = 20, 40
START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WORKERS = ("w/1", "w/2", "w/3")
POLICIES = [RetryPolicy(number, jitter=0.0) for number in (1, 2, 3)]


class HandClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


@dataclass
class Kept:
    """One job: its model, all tokens that were issued for it, and the state in which it was read last."""

    id: UUID
    model: ModelJob
    tokens: list[job_model.Token] = field(default_factory=list)
    seen: Job | None = None


class World:
    """A database, and an event loop for it: the rules are not coroutines."""

    def __init__(self, runner: asyncio.Runner, stores: MongoStores) -> None:
        self.stores = stores
        self.run = runner.run


@pytest.fixture
def world(mongod: Stack) -> Iterator[World]:
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        stores = runner.run(opened.enter_async_context(connect(uri(mongod.settings), f"own_{uuid4().hex}")))
        yield World(runner, stores)
        runner.run(opened.aclose())


@pytest.mark.timeout(400)  # To make a failing example small takes its time.
def test_any_sequence_of_changes_agrees_with_the_model(world: World) -> None:
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", lambda: JobLife(world)),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=CHANGES,
            suppress_health_check=list(HealthCheck),
        ),
    )


class JobLife(RuleBasedStateMachine):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.stores = world.stores
        self.clock = HandClock()
        self.service = JobService(
            world.stores.jobs,
            world.stores.keys,
            self.clock,
            Offered(),
            StoppedClaims(AlwaysConsuming(), world.stores.jobs),
            JobRules(
                KnownJobTypes(("compute",)),
                Leases(job_model.LEASE, job_model.UNFENCED_LEASE),
                chance=lambda: 0.5,
            ),
            Uncounted(),
        )
        self.jobs: list[Kept] = []

    def teardown(self) -> None:
        self.world.run(self._forget_all())

    async def _forget_all(self) -> None:
        await self.stores.jobs._jobs.delete_many({})

    # --- Creation and time ---

    @initialize(policy=st.sampled_from(POLICIES), lone_losses=st.sampled_from([0, 1, 2]))
    def begin(self, policy: RetryPolicy, lone_losses: int) -> None:
        self.create(policy, None, None, lone_losses)

    @precondition(lambda self: len(self.jobs) < 4)
    @rule(
        policy=st.sampled_from(POLICIES),
        schedule=st.none() | st.sampled_from([-1, 10]),
        expire=st.none() | st.sampled_from([-5, 0, 3, 30]),
        lone_losses=st.sampled_from([0, 1, 2]),
    )
    def create(self, policy: RetryPolicy, schedule: int | None, expire: int | None, lone_losses: int) -> None:
        """`schedule`: seconds from now. `expire`: seconds from the earliest start."""
        now = self.clock.now()
        schedule_time = None if schedule is None else now + schedule * SECOND
        expire_time = None if expire is None else (schedule_time or now) + expire * SECOND
        if schedule_time is not None and expire_time is not None:
            expire_time = max(expire_time, schedule_time + SECOND)
        wanted = NewJob(
            "compute", {}, retry_policy=policy, schedule_time=schedule_time, expire_time=expire_time
        )
        job = self.world.run(self.service.create(wanted))
        waits = schedule_time if schedule_time and schedule_time > now else None
        due_time = waits or now + 5 * SECOND
        model = ModelJob(policy.max_attempts, due_time, expire_time, waits, lone_losses=lone_losses)
        model.due_time = due_time if expire_time is None else min(due_time, expire_time)
        if lone_losses:
            self.world.run(self._set_lone_losses(job.id, lone_losses))
        self.jobs.append(Kept(job.id, model))

    async def _set_lone_losses(self, job_id: UUID, losses: int) -> None:
        await self.stores.jobs._jobs.update_one({"_id": job_id}, {"$set": {"lone_losses": losses}})

    @rule(seconds=st.sampled_from([0.001, 1, 2, 8, 16, 60]))
    def time_passes(self, seconds: float) -> None:
        self.clock.time += seconds * SECOND

    # --- Claims ---

    @rule(
        data=st.data(),
        worker=st.sampled_from(WORKERS),
        off=st.sampled_from([0, 0, 0, -1, 1]),
        alone=st.booleans(),
    )
    def claim(self, data: st.DataObject, worker: str, off: int, alone: bool) -> None:
        kept = self._any(data)
        expected = max(0, kept.model.attempt + off)
        outcome = self._update(StatusUpdate(kept.id, Status.PROCESSING, Claim(worker, expected, alone=alone)))
        is_applied = kept.model.claim(worker, expected, self.clock.now(), alone=alone)
        self._check(outcome, "processing" if is_applied else None)
        if is_applied:
            kept.tokens.append((worker, expected + 1))

    @rule(data=st.data())
    def claim_unfenced(self, data: st.DataObject) -> None:
        kept = self._any(data)
        outcome = self._update(StatusUpdate(kept.id, Status.PROCESSING))
        self._check(outcome, "processing" if kept.model.claim_unfenced(self.clock.now()) else None)

    # --- Reports ---

    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        kept, token = self._any_token(data)
        result = {"by": list(token)}
        outcome = self._update(StatusUpdate(kept.id, Status.COMPLETED, Token(*token), result=result))
        self._check(outcome, "completed" if kept.model.complete(token, result) else None)

    @rule(data=st.data(), permanent=st.booleans(), wait=st.none() | st.sampled_from([0, 5, 100]))
    def fail(self, data: st.DataObject, permanent: bool, wait: int | None) -> None:
        kept, token = self._any_token(data)
        retry_after = None if wait is None else wait * SECOND
        update = StatusUpdate(
            kept.id,
            Status.FAILED,
            Token(*token),
            failure=Failure(13, f"of {token}", "HANDLER_ERROR"),
            hint=FailureHint(permanent, retry_after),
        )
        outcome = self._update(update)
        self._check(outcome, kept.model.fail(token, permanent, retry_after, self.clock.now()))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        kept, token = self._any_token(data)
        outcome = self._update(StatusUpdate(kept.id, Status.QUEUED, Token(*token)))
        self._check(outcome, "queued" if kept.model.release(token, self.clock.now()) else None)

    @rule(data=st.data())
    def end_solitude(self, data: st.DataObject) -> None:
        kept, token = self._any_token(data)
        outcome = self._update(StatusUpdate(kept.id, Status.PROCESSING, Token(*token)))
        is_applied = kept.model.end_solitude(token, self.clock.now())
        self._check(outcome, "processing" if is_applied else None)

    @rule(data=st.data(), status=st.sampled_from(["completed", "failed"]))
    def complete_unfenced(self, data: st.DataObject, status: str) -> None:
        kept = self._any(data)
        result = {"by": "anybody"} if status == "completed" else None
        outcome = self._update(StatusUpdate(kept.id, Status(status), result=result))
        self._check(outcome, status if kept.model.complete_unfenced(status, result) else None)

    # --- Cancel and Retry ---

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        kept = self._any(data)
        is_done = self._is_done(self.service.cancel(kept.id, "no longer wanted"))
        assert is_done == kept.model.cancel()

    @rule(data=st.data(), expire=st.none() | st.sampled_from([-1, 20]))
    def retry(self, data: st.DataObject, expire: int | None) -> None:
        kept, now = self._any(data), self.clock.now()
        expire_time = None if expire is None else now + expire * SECOND
        is_done = self._is_done(self.service.retry(kept.id, expire_time))
        assert is_done == kept.model.retry(now, expire_time)

    # --- Heartbeats and the due loop ---

    @rule(worker=st.sampled_from(WORKERS))
    def heartbeat(self, worker: str) -> None:
        now = self.clock.now()
        ids = [kept.id for kept in self.jobs]
        self.world.run(self.stores.jobs.move_leases(worker, ids, now, job_model.LEASE.total_seconds()))
        held = self.world.run(self.stores.jobs.still_held(worker, ids))
        mine = [
            kept for kept in self.jobs if kept.model.worker == worker and kept.model.status == "processing"
        ]
        assert held == {kept.id for kept in mine}
        for kept in mine:
            assert kept.model.due_time is not None
            if kept.model.due_time < now + job_model.LEASE / 2:
                kept.model.due_time = now + job_model.LEASE

    @rule(data=st.data(), message=st.sampled_from(["a", "b"]))
    def progress(self, data: st.DataObject, message: str) -> None:
        kept, token = self._any_token(data)
        self.clock.time += timedelta(milliseconds=1)
        note = ProgressNote(kept.id, token[1], 50.0, message)
        self.world.run(self.stores.jobs.note_progress(token[0], [note], self.clock.now()))
        kept.model.note_progress(token, message)

    @rule()
    def expire_leases(self) -> None:
        now = self.clock.now()
        lost = [
            kept
            for kept in self.jobs
            if kept.model.status == "processing" and kept.model.due_time and kept.model.due_time < now
        ]
        assert self.world.run(self.stores.due.expire_leases(now, 100)).count == len(lost)
        for kept in lost:
            kept.model.lose(now)

    @rule(data=st.data())
    def lose_worker(self, data: st.DataObject) -> None:
        """Usually a worker that holds a job."""
        now = self.clock.now()
        running = [kept for kept in self.jobs if kept.model.status == "processing" and kept.model.worker]
        worker = data.draw(st.sampled_from([*(kept.model.worker for kept in running), "w/9"]))
        lost = [kept for kept in running if kept.model.worker == worker]
        assert self.world.run(self.stores.jobs.release_all(worker, now)).count == len(lost)
        for kept in lost:
            kept.model.lose(now)

    @rule()
    def scan(self) -> None:
        """Mark due jobs as published, and fail those that have expired."""
        now = self.clock.now()
        found = self.world.run(self.stores.due.due("compute", now, 100))
        due = [
            kept
            for kept in self.jobs
            if kept.model.status == "queued" and kept.model.due_time and kept.model.due_time <= now
        ]
        assert {(each.dispatch.job_id, each.dispatch.attempt, each.dispatch.losses) for each in found} == {
            (kept.id, kept.model.attempt, kept.model.losses) for kept in due
        }
        expired = [kept for kept in due if kept.model.expired(now)]
        assert {each.dispatch.job_id for each in found if each.is_expired} == {kept.id for kept in expired}
        # Those that have failed already are not asked for again: at the same time they would count once more.
        unended = [kept.id for kept in self.jobs if kept.model.status in {"queued", "processing"}]
        queued_and_over = [k for k in self.jobs if k.model.status == "queued" and k.model.expired(now)]
        # The due_time of a waiting job is never after its expire_time, so the scan has found all expired
        # jobs.
        assert queued_and_over == expired
        assert self.world.run(self.stores.due.expire("compute", unended, now)) == len(expired)
        for kept in expired:
            kept.model.expire()
        published = [kept for kept in due if kept not in expired]
        marks = [Published(kept.id, kept.model.attempt, RecordPosition(0, 0, 0)) for kept in published]
        self.world.run(self.stores.due.mark_published(marks, now))
        documents = self.world.run(self._documents())
        for kept in published:
            kept.model.due_time = documents[kept.id]["due_time"]
            assert kept.model.due_time is not None
            assert kept.model.due_time > now

    # --- Invariants ---

    @invariant()
    def every_job_is_as_its_model(self) -> None:
        documents = self.world.run(self._documents())
        for kept in self.jobs:
            document = documents[kept.id]
            job = to_job(document)
            self._compare(kept.model, job, document.get("due_time"))
            self._check_rules(job, document)
            self._check_forward(kept.seen, job)
            kept.seen = job

    @staticmethod
    def _compare(model: ModelJob, job: Job, due_time: datetime | None) -> None:
        assert job.status.value == model.status
        assert (job.attempt, job.worker_id) == (model.attempt, model.worker)
        assert (job.failures, job.losses) == (model.failures, model.losses)
        assert job.lone_losses == model.lone_losses
        assert job.result == model.result
        assert (job.error.reason if job.error else None) == model.reason
        assert job.next_attempt_time == model.next_attempt_time
        assert job.expire_time == model.expire_time
        assert (job.progress.message if job.progress else None) == model.progress
        assert [(each.number, each.worker_id, each.outcome.value) for each in job.history] == model.history
        assert due_time == model.due_time
        assert job.revision == 1 + model.changes

    @staticmethod
    def _check_rules(job: Job, document: dict[str, Any]) -> None:
        """Facts in which the model itself could be wrong."""
        assert ("due_time" in document) is (not job.status.is_terminal)
        assert (job.end_time is not None) is job.status.is_terminal
        if job.status is Status.QUEUED and job.expire_time is not None:
            assert document["due_time"] <= job.expire_time
        assert job.failures <= job.retry_policy.max_attempts
        is_poison = job.error is not None and job.error.reason == "POISON"
        assert (job.lone_losses >= job_model.MAX_LONE_LOSSES) is is_poison
        assert (job.result is not None) is (job.status is Status.COMPLETED)
        if job.result is not None and job.worker_id:
            assert job.result == {"by": [job.worker_id, job.attempt]}
        numbers = [attempt.number for attempt in job.history]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= job_model.MAX_HISTORY
        assert all(attempt.end_time for attempt in job.past)
        assert all((attempt.error is not None) is (attempt.outcome == "errored") for attempt in job.history)

    @staticmethod
    def _check_forward(before: Job | None, job: Job) -> None:
        if before is None:
            return
        assert job.attempt >= before.attempt
        assert job.revision >= before.revision
        assert job.update_time >= before.update_time
        if job.revision == before.revision:
            assert job == before
        if before.status.is_terminal and job.status is not before.status:
            assert job.retry_id != before.retry_id

    # --- Tools ---

    def _any(self, data: st.DataObject) -> Kept:
        return data.draw(st.sampled_from(self.jobs))

    def _any_token(self, data: st.DataObject) -> tuple[Kept, job_model.Token]:
        """A job and one of its tokens, more often the latest one, or a token that was never issued."""
        kept = self._any(data)
        latest = kept.tokens[-1:] * 3
        token: job_model.Token = data.draw(st.sampled_from([*latest, *kept.tokens, ("w/9", 1)]))
        return kept, token

    def _update(self, update: StatusUpdate) -> Applied | Exception:
        [outcome] = self.world.run(self.service.update_batch([update]))
        return outcome

    @staticmethod
    def _check(outcome: Applied | Exception, status: str | None) -> None:
        """`status`: the expected status; None: the update must be refused."""
        if status is None:
            assert isinstance(outcome, TransitionRefused)
        else:
            assert isinstance(outcome, Applied)
            assert outcome.status.value == status

    def _is_done(self, call: Any) -> bool:
        try:
            self.world.run(call)
        except TransitionRefused:
            return False
        return True

    async def _documents(self) -> dict[UUID, dict[str, Any]]:
        return {document["_id"]: document async for document in self.stores.jobs._jobs.find({})}
