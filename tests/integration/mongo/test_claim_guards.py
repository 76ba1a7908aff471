"""A claim takes only a job whose time has come, and only with the content that is stored."""

from datetime import timedelta

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import TransitionRefused
from api_server.domain.job import Status
from api_server.domain.resolution import Applied
from api_server.domain.transitions import CLOCK_TOLERANCE, claim
from tests.integration.mongo.jobs import LEASE, WORKER, insert, new_job, now, read

TRUE, FORGED = "a" * 32, "f" * 32
APPLIED = Applied(Status.PROCESSING, 1)


def reason(outcome: object) -> str:
    assert isinstance(outcome, TransitionRefused)
    return outcome.reason


@pytest.mark.parametrize("is_alone", [True, False])
async def test_a_claim_of_another_content_is_refused_alone(stores: MongoStores, is_alone: bool) -> None:
    jobs = [
        await insert(stores, new_job(content_digest=f"{i:032}"), now()) for i in range(1 if is_alone else 4)
    ]
    time = now()
    forged, *true = [
        claim(job.id, WORKER, 0, time, LEASE, content_digest=job.content_digest if i else FORGED)
        for i, job in enumerate(jobs)
    ]
    refused, *applied = await stores.jobs.apply([forged, *true])
    assert reason(refused) == "RECORD_MISMATCH"
    assert applied == [APPLIED] * len(true)
    assert (await read(stores, jobs[0].id)) == jobs[0]


async def test_claims_with_and_without_a_digest_go_in_one_batch(stores: MongoStores) -> None:
    jobs = [await insert(stores, new_job(content_digest=f"{i:032}"), now()) for i in range(4)]
    time = now()
    claims = [
        claim(job.id, WORKER, 0, time, LEASE, content_digest=job.content_digest if i % 2 else "")
        for i, job in enumerate(jobs)
    ]
    assert await stores.jobs.apply(claims) == [APPLIED] * 4
    assert await stores.jobs.apply(claims) == [APPLIED] * 4


async def test_a_job_without_a_digest_is_claimed_only_without_one(stores: MongoStores) -> None:
    job = await insert(stores, new_job(), now())
    [refused] = await stores.jobs.apply([claim(job.id, WORKER, 0, now(), LEASE, content_digest=TRUE)])
    assert reason(refused) == "RECORD_MISMATCH"
    assert await stores.jobs.apply([claim(job.id, WORKER, 0, now(), LEASE)]) == [APPLIED]


async def test_a_claim_before_the_jobs_time_is_refused(stores: MongoStores) -> None:
    time = now()
    early, soon = time + CLOCK_TOLERANCE + timedelta(milliseconds=1), time + CLOCK_TOLERANCE
    jobs = [await insert(stores, new_job(next_attempt_time=at), at) for at in (early, soon)]
    refused, applied = await stores.jobs.apply([claim(job.id, WORKER, 0, time, LEASE) for job in jobs])
    assert reason(refused) == "NOT_DUE"
    assert applied == APPLIED
    assert await read(stores, jobs[0].id) == jobs[0]
