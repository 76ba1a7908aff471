"""The service on a real database: tries, schedules, expiry, Cancel and Retry."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.attempt import Failure, Outcome
from api_server.domain.creation import NewJob, new_job_id
from api_server.domain.errors import JobIdTaken, JobNotFound, TransitionRefused
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.listing import JobFilter, PageRequest
from api_server.domain.resolution import Applied
from api_server.domain.retry import FailureHint, RetryPolicy, Tries
from api_server.domain.status_update import Claim, StatusUpdate, Token
from api_server.recovery.due_scans import DueScan
from contract_runtime.errors import InvalidArgument
from tests.integration.mongo.services import Offered, service
from tests.unit.api_server.dispatch.dispatch_fakes import FakePublisher
from tests.waiting import until

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
FAILURE = Failure(13, "broken", "HANDLER_ERROR")


async def created(stores: MongoStores, **fields: Any) -> Job:
    return await service(stores).create(NewJob("compute", {"input": "x"}, **fields))


async def running(stores: MongoStores, **fields: Any) -> Job:
    """A job whose first attempt the worker "w" holds."""
    job = await created(stores, **fields)
    return await claimed(stores, job.id, 0)


async def claimed(stores: MongoStores, job_id: UUID, expected: int) -> Job:
    return await service(stores).update(StatusUpdate(job_id, Status.PROCESSING, Claim("w", expected)))


def failing(job_id: UUID, attempt: int = 1, **fields: Any) -> StatusUpdate:
    return StatusUpdate(job_id, Status.FAILED, Token("w", attempt), failure=FAILURE, **fields)


# --- Tries ---


async def test_a_job_is_tried_three_times_with_growing_waits(stores: MongoStores) -> None:
    job = await created(stores, retry_policy=RetryPolicy(3, SECOND / 10, HOUR, 2.0, 0.0))
    for attempt, wait in ((1, SECOND / 10), (2, SECOND / 5)):
        await claimed(stores, job.id, attempt - 1)
        waiting = await service(stores).update(failing(job.id, attempt))
        assert (waiting.status, waiting.failures, waiting.error) == (Status.QUEUED, attempt, None)
        assert waiting.next_attempt_time == waiting.update_time + wait
    await claimed(stores, job.id, 2)
    failed = await service(stores).update(failing(job.id, 3))
    assert (failed.status, failed.failures, failed.error) == (Status.FAILED, 3, FAILURE)
    assert failed.next_attempt_time is None
    assert [(each.number, each.outcome, each.error) for each in failed.history] == [
        (number, Outcome.ERRORED, FAILURE) for number in (1, 2, 3)
    ]
    with pytest.raises(TransitionRefused, match="has ended"):
        await claimed(stores, job.id, 3)


@pytest.mark.parametrize(("max_attempts", "status"), [(1, Status.FAILED), (2, Status.QUEUED)])
async def test_the_jobs_own_policy_decides(stores: MongoStores, max_attempts: int, status: Status) -> None:
    policy = RetryPolicy(max_attempts, 90 * SECOND, HOUR, 1.0, 0.0)
    job = await running(stores, retry_policy=policy)
    assert job.retry_policy == policy
    after = await service(stores).update(failing(job.id))
    assert after.status is status
    if status is Status.QUEUED:
        assert after.next_attempt_time == after.update_time + 90 * SECOND


async def test_releases_and_losses_use_up_no_try(stores: MongoStores) -> None:
    job = await created(stores, retry_policy=RetryPolicy(1))
    await claimed(stores, job.id, 0)
    await service(stores).update(StatusUpdate(job.id, Status.QUEUED, Token("w", 1)))
    worker = f"w/{uuid4()}"
    await service(stores).update(StatusUpdate(job.id, Status.PROCESSING, Claim(worker, 1)))
    assert (await stores.jobs.release_all(worker, stores.clock.now())).count == 1
    again = await claimed(stores, job.id, 2)
    assert (again.failures, again.losses) == (0, 1)
    assert [each.outcome for each in again.history] == [Outcome.HANDED_BACK, Outcome.LOST, Outcome.RUNNING]


async def test_a_permanent_failure_is_not_retried(stores: MongoStores) -> None:
    job = await running(stores)
    after = await service(stores).update(failing(job.id, hint=FailureHint(permanent=True)))
    assert (after.status, after.failures) == (Status.FAILED, 1)


@pytest.mark.parametrize("seconds", [0, 90])
async def test_a_handler_may_set_the_wait(stores: MongoStores, seconds: int) -> None:
    job = await running(stores)
    after = await service(stores).update(
        failing(job.id, hint=FailureHint(retry_after=timedelta(seconds=seconds)))
    )
    assert (after.status, after.failures) == (Status.QUEUED, 1)
    expected = after.update_time + timedelta(seconds=seconds) if seconds else None
    assert after.next_attempt_time == expected


async def test_a_failure_reported_ten_times_at_once_counts_once(stores: MongoStores) -> None:
    job = await running(stores)
    answers = await asyncio.gather(*(service(stores).update_batch([failing(job.id)]) for _ in range(10)))
    assert answers == [[Applied(Status.QUEUED, 1)]] * 10
    after = await service(stores).get(job.id)
    assert (after.failures, after.revision, len(after.history)) == (1, 3, 1)


async def test_a_last_failure_reported_again_succeeds_again(stores: MongoStores) -> None:
    job = await running(stores, retry_policy=RetryPolicy(1))
    for _ in range(3):
        assert await service(stores).update_batch([failing(job.id)]) == [Applied(Status.FAILED, 1)]
    assert (await service(stores).get(job.id)).failures == 1


async def test_a_failure_reported_again_after_the_next_claim_succeeds_and_changes_nothing(
    stores: MongoStores,
) -> None:
    job = await running(stores)
    await service(stores).update(failing(job.id))
    before = await claimed(stores, job.id, 1)
    assert await service(stores).update_batch([failing(job.id)]) == [Applied(Status.QUEUED, 1)]
    assert await service(stores).get(job.id) == before


async def test_a_batch_has_an_outcome_for_each_update(stores: MongoStores) -> None:
    done, tried, handed = [await running(stores) for _ in range(3)]
    last = await running(stores, retry_policy=RetryPolicy(1))
    hopeless, superseded, cancelled = [await running(stores) for _ in range(3)]
    waiting, absent = await created(stores), uuid4()
    await service(stores).cancel(cancelled.id, "")
    outcomes = await service(stores).update_batch(
        [
            StatusUpdate(done.id, Status.COMPLETED, Token("w", 1), result={"n": 1}),
            failing(tried.id),
            failing(last.id),
            failing(hopeless.id, hint=FailureHint(permanent=True)),
            failing(superseded.id, attempt=2),
            failing(cancelled.id),
            failing(waiting.id),
            failing(absent),
            StatusUpdate(handed.id, Status.QUEUED, Token("w", 1)),
        ]
    )
    assert outcomes[:4] == [
        Applied(Status.COMPLETED, 1),
        Applied(Status.QUEUED, 1),
        Applied(Status.FAILED, 1),
        Applied(Status.FAILED, 1),
    ]
    reasons = [outcome.reason for outcome in outcomes[4:8] if not isinstance(outcome, Applied)]
    assert reasons == ["ATTEMPT_SUPERSEDED", "JOB_TERMINAL", "ATTEMPT_SUPERSEDED", "JOB_NOT_FOUND"]
    assert outcomes[8] == Applied(Status.QUEUED, 1)


class CountsReads:
    """The real store. Counts how often tries and jobs are read."""

    def __init__(self, stores: MongoStores) -> None:
        self._store = stores.jobs
        self.reads: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get_all(self, job_ids: Sequence[UUID]) -> list[Job | None]:
        self.reads.append("get_all")
        return await self._store.get_all(job_ids)

    async def tries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Tries]:
        self.reads.append("tries")
        return await self._store.tries(job_ids)


async def test_claims_and_completions_cost_no_read(stores: MongoStores) -> None:
    jobs = [await created(stores) for _ in range(5)]
    store = CountsReads(stores)
    api = service(stores, store)
    await api.update_batch([StatusUpdate(job.id, Status.PROCESSING, Claim("w", 0)) for job in jobs])
    await api.update_batch([StatusUpdate(job.id, Status.COMPLETED, Token("w", 1)) for job in jobs[:4]])
    assert store.reads == []
    await api.update_batch([failing(jobs[4].id)])
    assert store.reads == ["tries"]


class RemembersOldTries:
    """The real store, but its first answer about tries is outdated."""

    def __init__(self, stores: MongoStores) -> None:
        self._store = stores.jobs
        self.is_behind = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def tries(self, job_ids: Sequence[UUID]) -> dict[UUID, Tries]:
        found = await self._store.tries(job_ids)
        if not self.is_behind:
            return dict(found)
        self.is_behind = False
        return {job_id: Tries(each.failures - 1, each.policy) for job_id, each in found.items()}


async def test_an_outdated_read_gives_no_job_an_additional_try(stores: MongoStores) -> None:
    job = await running(stores, retry_policy=RetryPolicy(2))
    await service(stores).update(failing(job.id))
    await claimed(stores, job.id, 1)
    api = service(stores, RemembersOldTries(stores))
    report = asyncio.create_task(api.update_batch([failing(job.id, 2)]))
    done, _ = await asyncio.wait([report], timeout=1.0)
    assert not done, "decided from what was out of date"
    # The caller would get UNAVAILABLE after a few seconds, and report again.
    assert await api.update_batch([failing(job.id, 2)]) == [Applied(Status.FAILED, 2)]
    assert await report == [Applied(Status.FAILED, 2)]


# --- Times ---


async def test_a_scheduled_job_is_not_offered_and_shows_its_time(stores: MongoStores) -> None:
    offered, api_time = Offered(), stores.clock.now()
    api = service(stores, offered=offered)
    soon = api_time + SECOND / 2
    job = await api.create(NewJob("compute", {}, schedule_time=soon))
    assert offered.offers == []
    assert (job.schedule_time, job.next_attempt_time) == (soon, soon)
    with pytest.raises(TransitionRefused, match="must not start yet") as caught:
        await api.update(StatusUpdate(job.id, Status.PROCESSING))
    assert caught.value.reason == "NOT_DUE"
    assert [each.dispatch.job_id for each in await stores.due.due("compute", soon, 10_000)].count(job.id) == 1
    assert await is_due(stores, job.id, soon - timedelta(milliseconds=1)) is False
    await until(lambda: stores.clock.now() > soon)
    [listed] = [each for each in (await api.page(JobFilter(), PageRequest(1000))).jobs if each.id == job.id]
    assert listed.next_attempt_time is None
    assert (await api.get(job.id)).next_attempt_time is None
    started = await api.update(StatusUpdate(job.id, Status.PROCESSING))
    assert (started.status, started.schedule_time) == (Status.PROCESSING, soon)


async def is_due(stores: MongoStores, job_id: UUID, at: Any) -> bool:
    return job_id in {each.dispatch.job_id for each in await stores.due.due("compute", at, 10_000)}


async def test_a_schedule_time_in_the_past_means_now(stores: MongoStores) -> None:
    offered = Offered()
    past = stores.clock.now() - HOUR
    job = await service(stores, offered=offered).create(NewJob("compute", {}, schedule_time=past))
    assert [offer.job_id for offer in offered.offers] == [job.id]
    assert (job.schedule_time, job.next_attempt_time) == (past, None)


async def test_a_scheduled_job_that_is_created_again_is_not_offered(stores: MongoStores) -> None:
    offered, now = Offered(), stores.clock.now()
    api = service(stores, offered=offered)
    wanted = NewJob("compute", {}, id=new_job_id(now), schedule_time=now + HOUR)
    assert await api.create(wanted) == await api.create(wanted)
    assert offered.offers == []
    with pytest.raises(JobIdTaken):
        await api.create(NewJob("compute", {}, id=wanted.id, schedule_time=now + 2 * HOUR))
    with pytest.raises(JobIdTaken):
        await api.create(NewJob("compute", {}, id=wanted.id, schedule_time=now + HOUR, timeout=SECOND))
    # Retry may have changed this one, so it does not count.
    again = NewJob("compute", {}, id=wanted.id, schedule_time=now + HOUR, expire_time=now + 3 * HOUR)
    assert (await api.create(again)).id == wanted.id


async def test_a_job_with_times_in_the_wrong_order_is_not_stored(stores: MongoStores) -> None:
    now = stores.clock.now()
    wanted = NewJob("compute", {}, id=new_job_id(now), schedule_time=now + HOUR, expire_time=now + HOUR)
    with pytest.raises(InvalidArgument, match="expire_time"):
        await service(stores).create(wanted)
    assert wanted.id is not None
    assert await stores.jobs.get_all([wanted.id]) == [None]


async def test_a_job_that_expired_before_it_was_created_fails_at_once(empty_stores: MongoStores) -> None:
    stores, offered, publisher = empty_stores, Offered(), FakePublisher()
    api = service(stores, offered=offered)
    job = await api.create(NewJob("compute", {}, expire_time=stores.clock.now() - HOUR))
    assert (job.status, offered.offers) == (Status.QUEUED, [])
    report = await DueScan(stores.due, publisher, publisher, ["compute"]).run_once(stores.clock.now())
    assert (report.expired, publisher.published) == (1, [])
    failed = await api.get(job.id)
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.error.reason) == (Status.FAILED, 4, "EXPIRED")


async def test_a_job_may_expire_while_it_waits_for_its_next_try(empty_stores: MongoStores) -> None:
    stores = empty_stores
    now = stores.clock.now()
    job = await running(stores, expire_time=now + HOUR)
    await service(stores).update(failing(job.id, hint=FailureHint(retry_after=2 * HOUR)))
    scan = DueScan(stores.due, FakePublisher(), FakePublisher(), ["compute"])
    assert (await scan.run_once(now + HOUR - SECOND)).expired == 0
    assert (await scan.run_once(now + HOUR)).expired == 1
    failed = await service(stores).get(job.id)
    assert (failed.failures, failed.next_attempt_time) == (1, None)
    assert [each.outcome for each in failed.history] == [Outcome.ERRORED]


async def test_a_due_job_is_dispatched_with_its_timeout_and_losses(empty_stores: MongoStores) -> None:
    stores, publisher = empty_stores, FakePublisher()
    job = await running(stores, timeout=1.5 * SECOND)
    await stores.jobs.release_all("w", stores.clock.now())
    await DueScan(stores.due, publisher, publisher, ["compute"]).run_once(stores.clock.now() + SECOND)
    assert publisher.published == [Dispatch(job.id, "compute", 1, {"input": "x"}, 1.5 * SECOND, 1)]


# --- Cancel and Retry ---


async def test_cancel_returns_the_job_and_withdraws_it_from_the_dispatcher(stores: MongoStores) -> None:
    offered = Offered()
    job = await created(stores)
    cancelled = await service(stores, offered=offered).cancel(job.id, "no longer wanted")
    assert (cancelled.status, cancelled.error) == (
        Status.CANCELLED,
        Failure(1, "no longer wanted", "CANCELLED"),
    )
    assert offered.withdrawals == [job.id]
    with pytest.raises(TransitionRefused) as caught:
        await service(stores).cancel(job.id, "no longer wanted")
    assert caught.value.reason == "JOB_TERMINAL"


async def test_one_of_ten_cancels_is_applied(stores: MongoStores) -> None:
    job = await running(stores)
    outcomes = await asyncio.gather(
        *(service(stores).cancel(job.id, "same words") for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 1
    assert (await service(stores).get(job.id)).revision == job.revision + 1


async def test_a_job_that_does_not_exist_can_be_neither_cancelled_nor_retried(stores: MongoStores) -> None:
    with pytest.raises(JobNotFound):
        await service(stores).cancel(uuid4(), "")
    with pytest.raises(JobNotFound):
        await service(stores).retry(uuid4())


async def test_retry_offers_the_job_to_the_workers_at_its_attempt(stores: MongoStores) -> None:
    job = await running(stores, retry_policy=RetryPolicy(1), timeout=SECOND)
    await service(stores).update(failing(job.id))
    offered = Offered()
    again = await service(stores, offered=offered).retry(job.id)
    assert (again.status, again.attempt, again.failures) == (Status.QUEUED, 1, 0)
    assert offered.offers == [Dispatch(job.id, "compute", 1, {"input": "x"}, SECOND, max_attempts=1)]
    assert (await claimed(stores, job.id, 1)).attempt == 2
    await service(stores).update(failing(job.id, 2))
    assert [each.number for each in (await service(stores).get(job.id)).history] == [1, 2]


@pytest.mark.parametrize(
    ("status", "reason"),
    [("queued", "ILLEGAL_TRANSITION"), ("processing", "ILLEGAL_TRANSITION"), ("completed", "JOB_TERMINAL")],
)
async def test_only_a_failed_or_cancelled_job_is_retried(
    stores: MongoStores, status: str, reason: str
) -> None:
    job = await created(stores) if status == "queued" else await running(stores)
    if status == "completed":
        await service(stores).update(StatusUpdate(job.id, Status.COMPLETED, Token("w", 1)))
    with pytest.raises(TransitionRefused) as caught:
        await service(stores).retry(job.id)
    assert caught.value.reason == reason


async def test_a_scheduled_job_that_was_cancelled_runs_at_once_when_retried(stores: MongoStores) -> None:
    offered = Offered()
    job = await created(stores, schedule_time=stores.clock.now() + HOUR)
    await service(stores).cancel(job.id, "")
    again = await service(stores, offered=offered).retry(job.id)
    assert again.next_attempt_time is None
    assert [offer.job_id for offer in offered.offers] == [job.id]
