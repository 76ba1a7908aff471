"""Explanations of jobs on a real database."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from api_server.adapters.mongo import inspection
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import JobNotFound
from api_server.domain.fleet import WorkerIdentity, WorkerReport
from api_server.domain.job_facts import Ahead
from api_server.domain.obstacles import Reason
from api_server.domain.record_positions import RecordPosition
from api_server.domain.transitions import claim
from api_server.ports import Published
from api_server.services.explanations import Explanations
from tests.integration.mongo.jobs import LEASE, insert, new_job, now, set_fields, stored
from tests.integration.mongo.services import fleet_service

SECOND = timedelta(seconds=1)


@pytest.fixture
def explains(empty_stores: MongoStores) -> Explanations:
    return Explanations(empty_stores.inspection, fleet_service(empty_stores), empty_stores.clock)


async def reasons(explains: Explanations, job_id: UUID) -> list[Reason]:
    return [cause.reason for cause in (await explains.explain(job_id)).causes]


async def test_a_job_that_does_not_exist(explains: Explanations) -> None:
    with pytest.raises(JobNotFound):
        await explains.explain(UUID(int=1))


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_a_job_that_has_ended(empty_stores: MongoStores, explains: Explanations, status: str) -> None:
    job = await stored(empty_stores, status)
    explanation = await explains.explain(job.id)
    assert [cause.reason for cause in explanation.causes] == [Reason.ENDED]
    assert status in explanation.causes[0].message


async def test_a_held_job_has_its_worker_and_its_lease(
    empty_stores: MongoStores, explains: Explanations
) -> None:
    job = await stored(empty_stores)
    started = now()
    await empty_stores.jobs.apply([claim(job.id, "w/1", 0, started, LEASE, alone=True)])
    explanation = await explains.explain(job.id)
    assert [cause.reason for cause in explanation.causes] == [Reason.RUNNING]
    assert (explanation.worker_id, explanation.start_time) == ("w/1", started)
    assert explanation.lease_end == started + LEASE
    inspected = await empty_stores.inspection.inspect(job.id)
    assert inspected is not None
    assert inspected.alone


async def test_a_waiting_job_has_the_state_of_the_workers(
    empty_stores: MongoStores, explains: Explanations
) -> None:
    job = await stored(empty_stores)
    assert await reasons(explains, job.id) == [Reason.NO_WORKER]

    identity = WorkerIdentity("w/1", "w", "host", 1, ("compute",))
    await empty_stores.workers.take_name(identity, lambda _: False, empty_stores.clock.now())
    assert await reasons(explains, job.id) == [Reason.NO_PARTITION]

    report = WorkerReport("consuming", {"jobs.compute": (0, 1)}, busy_types=("compute",))
    await empty_stores.workers.heartbeat("w/1", report, empty_stores.clock.now())
    assert await reasons(explains, job.id) == [Reason.WORKERS_BUSY]

    position = RecordPosition(partition=2, offset=5, time=1)
    await empty_stores.due.mark_published([Published(job.id, 0, position)], now())
    assert await reasons(explains, job.id) == [Reason.NO_PARTITION]

    await empty_stores.fleet.change(lambda fleet: fleet.with_consuming(False, None))
    assert await reasons(explains, job.id) == [Reason.FLEET_STOPPED, Reason.NO_PARTITION]


async def test_jobs_that_could_start_earlier_come_first(empty_stores: MongoStores) -> None:
    time = now()

    async def put(seconds: float, **fields: Any) -> UUID:
        created = time - timedelta(seconds=seconds)
        return (await insert(empty_stores, new_job(create_time=created, **fields), time + SECOND)).id

    earlier, later = await put(5), await put(1)
    await put(9, job_type="data")
    await put(9, next_attempt_time=time - 3 * SECOND)
    await put(9, next_attempt_time=time + 60 * SECOND)
    same = [await put(3), await put(3)]
    jobs = {each: await empty_stores.inspection.inspect(each) for each in (earlier, later, *same)}
    ahead = {each: await empty_stores.inspection.ahead(found.job) for each, found in jobs.items() if found}
    assert ahead[earlier] == Ahead(0)
    # One job was created earlier, and two may start since the same time: their ids decide.
    assert {ahead[each] for each in same} <= {Ahead(1), Ahead(2), Ahead(3)}
    assert len({ahead[each] for each in same}) == 2
    assert ahead[later] == Ahead(4)


async def test_the_number_of_examined_jobs_is_bounded(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "EXAMINED", 3)
    jobs = [await stored(empty_stores) for _ in range(3)]
    assert await empty_stores.inspection.ahead(jobs[2]) == Ahead(2)
    jobs.append(await stored(empty_stores))
    # Those with the earliest due_time are examined.
    await set_fields(empty_stores, jobs[0].id, {"$set": {"due_time": now() + 60 * SECOND}})
    assert await empty_stores.inspection.ahead(jobs[3]) == Ahead(2, is_capped=True)


async def test_jobs_that_cannot_be_examined_in_time_are_not_counted(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await stored(empty_stores)
    monkeypatch.setattr(inspection, "EXAMINE_SECONDS", 1e-9)
    assert await empty_stores.inspection.ahead(job) is None
