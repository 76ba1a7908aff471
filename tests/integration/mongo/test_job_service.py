"""The service on a real database: its promises when a call is sent twice, or the server dies during a
call.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.attempt import Failure
from api_server.domain.creation import NewJob, new_job_id
from api_server.domain.errors import IdempotencyKeyReused, JobIdTaken, TransitionRefused
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.resolution import Applied
from api_server.domain.status_update import Claim, StatusUpdate, Token
from api_server.ports import JobStore
from api_server.schema_ports import PayloadCheck
from api_server.services.creation import MAX_EXPLAINED, IdempotencyKey
from api_server.stats_ports import ActivityLog
from contract_runtime.errors import InvalidArgument, invalid
from tests.integration.mongo.jobs import document
from tests.integration.mongo.services import Offered, service
from tests.waiting import until


class ServerDied(Exception):
    """Stands for the end of the process."""


class DiesAtInsert:
    """The real store, but the server dies before a job is stored."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def insert_all(self, _jobs: Sequence[tuple[Job, datetime]]) -> list[Job]:
        raise ServerDied


class Counted(ActivityLog):
    """Notes what is counted."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def created(self, job_type: str) -> None:
        self.calls.append(f"created {job_type}")

    def started(self, job_type: str) -> None:
        self.calls.append(f"started {job_type}")

    def ended(self, job_type: str, status: Status, job_id: UUID) -> None:
        self.calls.append(f"{status.value} {job_type} {job_id}")

    def failed(self, job_type: str, count: int) -> None:
        self.calls.append(f"{count} {job_type} failed")


async def a_millisecond_after(stores: MongoStores, job: Job) -> None:
    """Changes of the same millisecond cannot be told apart."""
    await until(lambda: stores.clock.now() > job.update_time)


def key(content: str = "same") -> IdempotencyKey:
    return IdempotencyKey(str(uuid4()), content.encode())


WANTED = NewJob("compute", {"input": "x"})


async def test_a_key_creates_its_job_once_if_the_server_died_between_its_two_writes(
    stores: MongoStores,
) -> None:
    mine = key()
    with pytest.raises(ServerDied):
        await service(stores, DiesAtInsert(stores.jobs)).create(WANTED, mine)
    jobs = await asyncio.gather(*(service(stores).create(WANTED, mine) for _ in range(10)))
    assert len({job.id for job in jobs}) == 1
    assert await service(stores).get(jobs[0].id) == jobs[0]


def has_passed(stores: MongoStores, time: datetime) -> bool:
    return stores.clock.now() > time


async def test_a_call_with_a_key_that_was_used_before_is_a_replay(stores: MongoStores) -> None:
    jobs = service(stores)
    for wanted in (WANTED, NewJob("compute", {"input": "x"}, id=new_job_id(stores.clock.now()))):
        mine = key()
        first, is_replay = await jobs.create_or_replay(wanted, mine)
        assert not is_replay
        # The database's clock counts milliseconds.
        await until(partial(has_passed, stores, first.create_time), "the clock has moved")
        assert await jobs.create_or_replay(wanted, mine) == (first, True)

    # Without a key nothing is a replay.
    assert (await jobs.create_or_replay(wanted, None)) == (first, False)


async def test_a_key_with_another_request_is_refused(stores: MongoStores) -> None:
    mine = key()
    await service(stores).create(WANTED, mine)
    with pytest.raises(IdempotencyKeyReused, match=mine.value):
        await service(stores).create(WANTED, IdempotencyKey(mine.value, b"other"))


async def test_a_chosen_id_returns_its_job_in_the_present_status(stores: MongoStores) -> None:
    offered = Offered()
    jobs = service(stores, offered=offered)
    wanted = NewJob("compute", {"input": "x"}, id=new_job_id(stores.clock.now()))
    job = await jobs.create(wanted)
    await jobs.update(StatusUpdate(job.id, Status.PROCESSING, Claim("w", 0)))
    again = await jobs.create(wanted)
    assert (again.id, again.status, again.attempt) == (job.id, Status.PROCESSING, 1)
    assert [offer.attempt for offer in offered.offers] == [0]
    await jobs.update(StatusUpdate(job.id, Status.COMPLETED, Token("w", 1), result={"n": 1}))
    assert (await jobs.create(wanted)).result == {"n": 1}
    with pytest.raises(JobIdTaken):
        await jobs.create(NewJob("compute", {"input": "y"}, id=wanted.id))


async def test_a_job_is_offered_to_the_workers_only_after_it_is_stored(stores: MongoStores) -> None:
    offered = Offered()
    with pytest.raises(ServerDied):
        await service(stores, DiesAtInsert(stores.jobs), offered).create(WANTED)
    assert offered.offers == []
    job = await service(stores, offered=offered).create(WANTED)
    assert offered.offers == [Dispatch(job.id, "compute", 0, {"input": "x"})]


async def test_a_job_is_offered_even_if_its_caller_was_cancelled(stores: MongoStores) -> None:
    offered = Offered()
    creating = asyncio.create_task(service(stores, offered=offered).create(WANTED))
    await asyncio.sleep(0)
    creating.cancel()
    await asyncio.wait([creating])
    assert creating.cancelled()
    await until(lambda: offered.offers)
    (dispatch,) = offered.offers
    assert (await service(stores).get(dispatch.job_id)).status is Status.QUEUED


async def test_new_jobs_are_due_later_behind_a_backlog_and_the_dispatcher_knows_when(
    stores: MongoStores,
) -> None:
    offered = Offered()
    offered.grace = timedelta(seconds=20)
    jobs = service(stores, offered=offered)
    made = [await jobs.create(WANTED), *await jobs.create_batch([WANTED, WANTED])]
    for job, due_time in zip(made, offered.due_times, strict=True):
        assert isinstance(job, Job)
        assert due_time == job.create_time + offered.grace
        assert (await document(stores, job.id))["due_time"] == due_time


async def test_a_job_that_was_claimed_through_this_server_needs_no_mark(stores: MongoStores) -> None:
    offered = Offered()
    jobs = service(stores, offered=offered)
    won, lost = await jobs.create(WANTED), await jobs.create(WANTED)
    await jobs.update(StatusUpdate(lost.id, Status.PROCESSING, Claim("other", 0)))
    offered.claims.clear()
    outcomes = await jobs.update_batch(
        [
            StatusUpdate(won.id, Status.PROCESSING, Claim("w", 0)),
            StatusUpdate(lost.id, Status.PROCESSING, Claim("w", 0)),
        ]
    )
    assert outcomes[0] == Applied(Status.PROCESSING, 1)
    assert isinstance(outcomes[1], TransitionRefused)
    assert offered.claims == [won.id]
    assert offered.withdrawals == []


async def test_an_unfenced_claim_shows_nothing_about_earlier_records(stores: MongoStores) -> None:
    offered = Offered()
    jobs = service(stores, offered=offered)
    claimed = await jobs.create(WANTED)
    await jobs.update(StatusUpdate(claimed.id, Status.PROCESSING))
    assert (offered.claims, offered.withdrawals) == ([], [claimed.id])


async def test_two_reports_of_one_attempt_record_one_result(stores: MongoStores) -> None:
    jobs = service(stores)
    job = await jobs.create(WANTED)
    await jobs.update(StatusUpdate(job.id, Status.PROCESSING, Claim("w", 0)))

    async def report(number: int) -> Job:
        update = StatusUpdate(job.id, Status.COMPLETED, Token("w", 1), result={"number": number})
        return await jobs.update(update)

    outcomes = await asyncio.gather(*map(report, range(10)), return_exceptions=True)
    answers = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    refusals = [outcome.reason for outcome in outcomes if isinstance(outcome, TransitionRefused)]
    assert (len(answers), refusals) == (1, ["JOB_TERMINAL"] * 9)
    assert await jobs.get(job.id) == answers[0]
    assert answers[0].revision == 3


async def test_an_update_that_an_earlier_call_has_made_is_known_and_not_counted_again(
    stores: MongoStores,
) -> None:
    counted = Counted()
    jobs = service(stores, activity=counted)
    job = await jobs.create(WANTED)
    failing = Failure(13, "broken", "HANDLER_ERROR")
    for update in (
        StatusUpdate(job.id, Status.PROCESSING, Claim("w", 0)),
        StatusUpdate(job.id, Status.FAILED, Token("w", 1), failure=failing),
        StatusUpdate(job.id, Status.PROCESSING, Claim("w", 1)),
        StatusUpdate(job.id, Status.COMPLETED, Token("w", 2), result={"n": 1}),
    ):
        first, is_replay = await jobs.update_or_replay(update)
        assert not is_replay
        await a_millisecond_after(stores, first)
        again, is_replay = await jobs.update_or_replay(update)
        assert (again.revision, again.status, is_replay) == (first.revision, first.status, True)
        (outcome,) = await jobs.update_batch([update])
        assert isinstance(outcome, Applied)
        assert outcome.is_replay
    started = "started compute"
    assert counted.calls == ["created compute", started, started, f"completed compute {job.id}"]


async def test_a_claim_without_a_worker_is_a_replay_only_with_the_same_key(stores: MongoStores) -> None:
    jobs = service(stores)
    job = await jobs.create(WANTED)
    update = StatusUpdate(job.id, Status.PROCESSING)
    first, is_replay = await jobs.update_or_replay(update, "key")
    assert not is_replay
    await a_millisecond_after(stores, first)
    assert await jobs.update_or_replay(update, "key") == (first, True)
    for other in ("other", None):
        with pytest.raises(TransitionRefused):
            await jobs.update_or_replay(update, other)
    done = StatusUpdate(job.id, Status.COMPLETED, result={"n": 1})
    ended, is_replay = await jobs.update_or_replay(done)
    assert not is_replay
    await a_millisecond_after(stores, ended)
    assert await jobs.update_or_replay(done) == (ended, True)


class OnlyTexts(PayloadCheck):
    """Accepts payloads with a text. Notes whether the error shall name the fields."""

    def __init__(self) -> None:
        self.explained: list[bool] = []

    def check(
        self,
        job_type: str,  # noqa: ARG002 - an argument of the port
        payload: Mapping[str, Any],
        size: int | None,  # noqa: ARG002 - the same
        *,
        explained: bool = True,
    ) -> None:
        if not isinstance(payload.get("text"), str):
            self.explained.append(explained)
            raise invalid("payload.text", "schema.type", "must be of type string")


async def test_a_payload_that_does_not_fit_is_refused_alone(stores: MongoStores) -> None:
    payloads = OnlyTexts()
    jobs = service(stores, payloads=payloads)
    with pytest.raises(InvalidArgument, match=r"payload\.text: must be of type string"):
        await jobs.create(NewJob("compute", {"text": 7}))

    wrong, fitting = NewJob("compute", {}, payload_size=MAX_EXPLAINED // 2), NewJob("compute", {"text": "x"})
    outcomes = await jobs.create_batch([wrong, fitting, wrong, wrong])

    assert [type(each) for each in outcomes] == [InvalidArgument, Job, InvalidArgument, InvalidArgument]
    assert payloads.explained == [True, True, True, False]
