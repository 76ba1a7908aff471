"""After a stop was answered, every claim that it forbids is refused, by every server and to every worker."""

from uuid import UUID

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.fleet import OneType, OneWorker, Part
from api_server.domain.job import Status
from api_server.domain.resolution import Applied
from api_server.domain.status_update import Claim, StatusUpdate, Token
from api_server.services.fleet_fence import FleetFence
from api_server.services.job_types import KnownJobTypes
from api_server.services.jobs import JobRules, JobService
from api_server.services.stopped_claims import StoppedClaims
from contract_runtime.errors import ServiceError
from tests.integration.mongo.jobs import read, stored
from tests.integration.mongo.services import LEASES, Offered, Uncounted
from tests.integration.mongo.test_fleet_service import Server
from tests.integration.mongo.test_mongo_fleet import identity

FROZEN = "frozen/1"


def another_server(stores: MongoStores) -> JobService:
    fence = FleetFence(stores.fleet)
    return JobService(
        stores.jobs,
        stores.keys,
        stores.clock,
        Offered(),
        StoppedClaims(fence, stores.jobs),
        JobRules(KnownJobTypes(("compute", "data")), LEASES),
        Uncounted(),
    )


def claim(job_id: UUID, worker_id: str = FROZEN, job_type: str = "compute") -> StatusUpdate:
    return StatusUpdate(job_id, Status.PROCESSING, Claim(worker_id, 0, job_type))


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (None, "FLEET_STOPPED"),
        (OneType("compute"), "TYPE_STOPPED"),
        (OneWorker("frozen"), "WORKER_STOPPED"),
    ],
)
async def test_the_claim_of_a_worker_that_missed_the_stop_is_refused_and_the_job_waits(
    empty_stores: MongoStores, part: Part | None, reason: str
) -> None:
    control = Server(empty_stores)
    if isinstance(part, OneWorker):
        await empty_stores.workers.take_name(identity("frozen"), lambda _: True, empty_stores.clock.now())
        control.time += 10 * control.service.times.max_silence
    jobs = another_server(empty_stores)
    first, second = await stored(empty_stores), await stored(empty_stores)
    # This server has just read the desired state from before the stop.
    assert await jobs.update_batch([claim(first.id)]) == [Applied(Status.PROCESSING, 1)]

    _, pending = await control.service.set_consuming(False, part)
    assert pending == []
    again, refused = await jobs.update_batch([claim(first.id), claim(second.id)])

    # The answer to the first claim may have been lost, so the claim may be sent again.
    assert again == Applied(Status.PROCESSING, 1)
    assert isinstance(refused, ServiceError)
    assert (refused.reason, refused.metadata) == (reason, {"id": str(second.id)})
    assert (await read(empty_stores, second.id)).status is Status.QUEUED
    done = StatusUpdate(first.id, Status.COMPLETED, Token(FROZEN, 1), result={})
    assert await jobs.update_batch([done]) == [Applied(Status.COMPLETED, 1)]


async def test_claims_that_the_stop_does_not_forbid_are_applied(empty_stores: MongoStores) -> None:
    control, jobs = Server(empty_stores), another_server(empty_stores)
    await control.service.set_consuming(False, OneType("data"))
    job, data = await stored(empty_stores), await stored(empty_stores, job_type="data")

    applied, refused = await jobs.update_batch([claim(job.id), claim(data.id, job_type="data")])

    assert applied == Applied(Status.PROCESSING, 1)
    assert isinstance(refused, ServiceError)
    by_hand = StatusUpdate(data.id, Status.PROCESSING)
    assert await jobs.update_batch([by_hand]) == [Applied(Status.PROCESSING, None)]
