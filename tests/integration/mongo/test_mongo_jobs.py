"""The promises of the JobStore, on a real mongod."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import JobIdTaken, JobNotFound, TransitionRefused
from api_server.domain.job import Job, Status
from api_server.domain.resolution import Applied, applied_status
from api_server.domain.transition import Transition
from api_server.domain.transitions import (
    cancel,
    claim,
    claim_unfenced,
    complete,
    complete_unfenced,
    fail,
    release,
    retry,
    try_again,
)
from contract_runtime.errors import InvalidArgument
from tests.integration.mongo.jobs import (
    FAILURE,
    LEASE,
    RESULT,
    WORKER,
    document,
    get,
    insert,
    new_job,
    now,
    read,
    set_fields,
    stored,
)

OTHER_RESULT = {"hash": "other"}
OTHER_FAILURE = replace(FAILURE, message="other")


MAKE: dict[str, Callable[[UUID], Transition]] = {
    "claim": lambda i: claim(i, "w/2", 0, now(), LEASE),
    "claim_unfenced": lambda i: claim_unfenced(i, "claim-2", now(), LEASE),
    "complete": lambda i: complete(i, WORKER, 1, OTHER_RESULT, now()),
    "fail": lambda i: fail(i, WORKER, 1, OTHER_FAILURE, now()),
    "complete_unfenced": lambda i: complete_unfenced(i, Status.COMPLETED, OTHER_RESULT, None, now()),
    "release": lambda i: release(i, WORKER, 1, now()),
    "try_again": lambda i: try_again(
        i, WORKER, 1, OTHER_FAILURE, now(), failures=0, wait=timedelta(seconds=1)
    ),
    "cancel": lambda i: cancel(i, "cancel-2", "another reason", now()),
    "retry": lambda i: retry(i, "retry-2", now()),
}


def transition(name: str, job_id: UUID) -> Transition:
    return MAKE[name](job_id)


EXPECTED = {
    ("claim", "queued"): Applied(Status.PROCESSING, 1),
    ("claim", "processing"): "HELD_BY_WORKER",
    ("claim", "claimed_unfenced"): "ATTEMPT_SUPERSEDED",
    ("claim_unfenced", "queued"): Applied(Status.PROCESSING, None),
    ("claim_unfenced", "processing"): "HELD_BY_WORKER",
    ("claim_unfenced", "claimed_unfenced"): "ILLEGAL_TRANSITION",
    ("complete", "queued"): "ATTEMPT_SUPERSEDED",
    ("complete", "processing"): Applied(Status.COMPLETED, 1),
    ("complete", "claimed_unfenced"): "ATTEMPT_SUPERSEDED",
    ("fail", "queued"): "ATTEMPT_SUPERSEDED",
    ("fail", "processing"): Applied(Status.FAILED, 1),
    ("fail", "claimed_unfenced"): "ATTEMPT_SUPERSEDED",
    ("complete_unfenced", "queued"): "ILLEGAL_TRANSITION",
    ("complete_unfenced", "processing"): "HELD_BY_WORKER",
    ("complete_unfenced", "claimed_unfenced"): Applied(Status.COMPLETED, None),
    ("release", "queued"): "ATTEMPT_SUPERSEDED",
    ("release", "processing"): Applied(Status.QUEUED, 1),
    ("release", "claimed_unfenced"): "ATTEMPT_SUPERSEDED",
    ("try_again", "queued"): "ATTEMPT_SUPERSEDED",
    ("try_again", "processing"): Applied(Status.QUEUED, 1),
    ("try_again", "claimed_unfenced"): "ATTEMPT_SUPERSEDED",
    ("cancel", "queued"): Applied(Status.CANCELLED, None),
    ("cancel", "processing"): Applied(Status.CANCELLED, None),
    ("cancel", "claimed_unfenced"): Applied(Status.CANCELLED, None),
    ("retry", "queued"): "ILLEGAL_TRANSITION",
    ("retry", "processing"): "ILLEGAL_TRANSITION",
    ("retry", "claimed_unfenced"): "ILLEGAL_TRANSITION",
    ("retry", "failed"): Applied(Status.QUEUED, None),
    ("retry", "cancelled"): Applied(Status.QUEUED, None),
}
STEPS = tuple(MAKE)
STARTS = {
    "claim": "queued",
    "claim_unfenced": "queued",
    "complete_unfenced": "claimed_unfenced",
    "retry": "failed",
}
"""The status from which each transition is applied, if it is not processing."""
STATUSES = ("queued", "processing", "claimed_unfenced", "completed", "failed", "cancelled")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", STEPS)
async def test_each_transition_from_each_status_is_applied_or_refused_with_its_reason(
    stores: MongoStores, name: str, status: str
) -> None:
    before = await stored(stores, status)
    [outcome] = await stores.jobs.apply([transition(name, before.id)])
    after = await read(stores, before.id)
    expected = EXPECTED.get((name, status), "JOB_TERMINAL")
    if isinstance(expected, Applied):
        assert outcome == expected
        assert (after.status, after.revision) == (expected.status, before.revision + 1)
    else:
        assert isinstance(outcome, TransitionRefused)
        assert outcome.reason == expected
        assert outcome.metadata == {
            "id": str(before.id),
            "status": before.status.value,
            "attempt": str(before.attempt),
        }
        assert after == before


async def test_a_stored_job_reads_back_as_it_was_inserted(stores: MongoStores) -> None:
    job = new_job(
        payload={"a.b": {"$x": [1, 2.5, None, True, "", {}]}, "": []}, labels={"team": "a=b", "z": ""}
    )
    assert await insert(stores, job, now()) == job
    assert await read(stores, job.id) == job


async def test_a_missing_job_reads_as_none_and_its_transitions_find_no_job(stores: MongoStores) -> None:
    absent = uuid4()
    assert await get(stores, absent) is None
    [outcome] = await stores.jobs.apply([claim(absent, WORKER, 0, now(), LEASE)])
    assert isinstance(outcome, JobNotFound)


async def test_an_equal_request_with_the_same_id_returns_the_present_job(stores: MongoStores) -> None:
    job = await stored(stores, "completed")
    again = replace(job, status=Status.QUEUED, result=None, create_time=now(), attempt=0, revision=1)
    assert await insert(stores, again, now()) == replace(job, result=None)


async def test_a_different_request_with_the_same_id_is_refused(stores: MongoStores) -> None:
    job = await stored(stores)
    with pytest.raises(JobIdTaken):
        await insert(stores, replace(job, payload={"input": "y"}), now())
    assert await read(stores, job.id) == job


async def test_concurrent_inserts_of_one_request_all_get_one_job(stores: MongoStores) -> None:
    job = new_job()
    assert set(
        map(id_and_revision, await asyncio.gather(*(insert(stores, job, now()) for _ in range(20))))
    ) == {(job.id, 1)}


def id_and_revision(job: Job) -> tuple[UUID, int]:
    return job.id, job.revision


async def test_one_of_several_concurrent_claims_wins(stores: MongoStores) -> None:
    job = await stored(stores)
    claims = [claim(job.id, f"w/{i}", 0, now(), LEASE) for i in range(20)]
    outcomes = [outcome for [outcome] in await asyncio.gather(*(stores.jobs.apply([c]) for c in claims))]
    winners = [c for c, outcome in zip(claims, outcomes, strict=True) if isinstance(outcome, Applied)]
    assert len(winners) == 1
    after = await read(stores, job.id)
    assert (after.worker_id, after.attempt, after.revision) == (winners[0].change.worker_id, 1, 2)


async def test_a_completed_job_has_the_fields_of_its_end(stores: MongoStores) -> None:
    job = await stored(stores)
    claimed, ended = now(), now() + timedelta(seconds=2)
    await stores.jobs.apply([claim(job.id, WORKER, 0, claimed, LEASE)])
    assert (await document(stores, job.id))["due_time"] == claimed + LEASE
    await stores.jobs.apply([complete(job.id, WORKER, 1, RESULT, ended)])
    assert await read(stores, job.id) == replace(
        job,
        status=Status.COMPLETED,
        worker_id=WORKER,
        result=RESULT,
        attempt=1,
        revision=3,
        start_time=claimed,
        end_time=ended,
        update_time=ended,
    )
    assert "due_time" not in await document(stores, job.id)


async def test_a_released_job_keeps_its_attempt_and_has_no_holder(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await set_fields(stores, job.id, {"$set": {"dispatches": 3}})
    time = now()
    await stores.jobs.apply([release(job.id, WORKER, 1, time)])
    after = await document(stores, job.id)
    assert after["due_time"] == time
    assert after["attempt"] == 1
    assert not {"worker_id", "claim_id", "dispatches"} & set(after)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("size", [1, 3])
async def test_a_transition_that_is_sent_again_is_applied_without_a_second_change(
    stores: MongoStores, name: str, size: int
) -> None:
    status = STARTS.get(name, "processing")
    transitions = [transition(name, (await stored(stores, status)).id) for _ in range(size)]
    first = await stores.jobs.apply(transitions)
    after = [await read(stores, each.job_id) for each in transitions]
    assert await stores.jobs.apply(transitions) == first
    assert all(isinstance(outcome, Applied) for outcome in first)
    assert [await read(stores, each.job_id) for each in transitions] == after


@pytest.mark.parametrize("size", [1, 2, 5, 500])
async def test_each_transition_of_a_batch_has_its_own_outcome(stores: MongoStores, size: int) -> None:
    jobs = [new_job() for _ in range(size)]
    for job in jobs:
        await insert(stores, job, now())
    # Another worker claims every fifth first; every seventh does not exist.
    await stores.jobs.apply([claim(job.id, "w/9", 0, now(), LEASE) for job in jobs[::5]])
    wanted = [
        uuid4() if i % 7 == 6 else job.id for i, job in enumerate(jobs)
    ]  # ids in the order of the requests
    time = now()
    outcomes = await stores.jobs.apply([claim(job_id, WORKER, 0, time, LEASE) for job_id in wanted])
    for i, outcome in enumerate(outcomes):
        if i % 7 == 6:
            assert isinstance(outcome, JobNotFound)
        elif i % 5 == 0:
            assert isinstance(outcome, TransitionRefused)
            assert outcome.reason == "HELD_BY_WORKER"
        else:
            assert outcome == Applied(Status.PROCESSING, 1)
    own = [job_id for i, job_id in enumerate(wanted) if i % 7 != 6 and i % 5]
    reports = [complete(job_id, WORKER, 1, {"n": i}, time) for i, job_id in enumerate(own)]
    assert await stores.jobs.apply(reports) == [Applied(Status.COMPLETED, 1)] * len(own)
    assert [(await read(stores, job_id)).result for job_id in own] == [{"n": i} for i in range(len(own))]


async def test_a_batch_of_many_kinds_of_transitions_is_applied_completely(stores: MongoStores) -> None:
    transitions = []
    for name in STEPS:
        status = STARTS.get(name, "processing")
        transitions += [transition(name, (await stored(stores, status)).id) for _ in range(3)]
    transitions.append(claim((await stored(stores)).id, "w/3", 0, now(), LEASE))
    outcomes = await stores.jobs.apply(transitions)
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    for each in transitions:
        job = await read(stores, each.job_id)
        assert applied_status(each, job)


HOSTILE: list[dict[str, Any]] = [
    {"$set": {"status": "queued"}},
    {"a.b": {"c.d": 1}},
    {"x": "$$ROOT", "y": "$payload", "$literal": "$_id"},
    {"": {"": [[], [[]], {}]}},
    {"$cond": [True, 1, 2]},
    {"status": "queued", "_id": 1},
    {},
]


async def test_hostile_results_are_stored_as_they_are(stores: MongoStores) -> None:
    ids = [(await stored(stores, "processing")).id for _ in HOSTILE]
    reports = [
        complete(job_id, WORKER, 1, result, now()) for job_id, result in zip(ids, HOSTILE, strict=True)
    ]
    assert await stores.jobs.apply(reports) == [Applied(Status.COMPLETED, 1)] * len(ids)
    assert [(await read(stores, job_id)).result for job_id in ids] == HOSTILE
    assert await stores.jobs.apply(reports) == [Applied(Status.COMPLETED, 1)] * len(ids)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["", "a", "a.b", "$a", "$set", "0", "$ref", "$id", "$db"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
RESULTS = st.lists(
    st.dictionaries(st.sampled_from(["", "a", "a.b", "$literal", "$x"]), JSON, max_size=3),
    min_size=2,
    max_size=4,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(results=RESULTS)
async def test_any_results_in_one_batch_are_stored_unchanged(
    stores: MongoStores, results: list[dict[str, Any]]
) -> None:
    ids = [(await stored(stores, "processing")).id for _ in results]
    await stores.jobs.apply(
        [complete(job_id, WORKER, 1, r, now()) for job_id, r in zip(ids, results, strict=True)]
    )
    assert [(await read(stores, job_id)).result for job_id in ids] == results


async def test_hostile_names_of_workers_are_only_names(stores: MongoStores) -> None:
    jobs = [await stored(stores) for _ in range(2)]
    time = now()
    await stores.jobs.apply([claim(job.id, "$payload.input", 0, time, LEASE) for job in jobs])
    await stores.jobs.apply([complete(job.id, "$payload.input", 1, {}, time) for job in jobs])
    assert (await read(stores, jobs[0].id)).worker_id == "$payload.input"


@pytest.mark.parametrize("bad", [{"n": 2**70}, {"a\0b": 1}, {"s": "\ud800"}])
async def test_a_result_that_cannot_be_stored_fails_only_its_own_transition(
    stores: MongoStores, bad: dict[str, Any]
) -> None:
    first, second = await stored(stores, "processing"), await stored(stores, "processing")
    time = now()
    refused, applied = await stores.jobs.apply(
        [complete(first.id, WORKER, 1, bad, time), complete(second.id, WORKER, 1, {}, time)]
    )
    assert isinstance(refused, InvalidArgument)
    assert refused.violations[0].field == "result"
    assert applied == Applied(Status.COMPLETED, 1)
    with pytest.raises(InvalidArgument, match="payload"):
        await insert(stores, new_job(payload=bad), now())


async def test_a_wanted_job_comes_back_with_its_transition_as_a_read_shows_it(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    report = complete(job.id, WORKER, 1, {"text": "done"}, now())

    [outcome] = await stores.jobs.apply([report], {job.id})

    assert isinstance(outcome, Applied)
    assert outcome.job == await read(stores, job.id)
    [again] = await stores.jobs.apply([report], {job.id})
    assert again == outcome, "the write did not match, but the read shows that it was done"
    [refused] = await stores.jobs.apply([complete(job.id, WORKER, 1, {"text": "other"}, now())], {job.id})
    assert isinstance(refused, TransitionRefused)


async def test_results_that_are_too_large_for_one_statement_are_all_stored(stores: MongoStores) -> None:
    ids = [(await stored(stores, "processing")).id for _ in range(12)]
    time = now()
    reports = [complete(job_id, WORKER, 1, {"text": "x" * 3 * 2**20}, time) for job_id in ids]
    assert await stores.jobs.apply(reports) == [Applied(Status.COMPLETED, 1)] * 12


async def test_only_leases_of_the_worker_with_under_half_left_are_moved(stores: MongoStores) -> None:
    time = now()
    jobs = [await stored(stores, "processing") for _ in range(3)]
    other = await stored(stores, "claimed_unfenced")
    ended = await stored(stores, "completed")
    for job, left in zip([*jobs, other], [7, 8, 1, 1], strict=True):
        due_time = time + timedelta(seconds=left)
        await set_fields(stores, job.id, {"$set": {"due_time": due_time}})
    ids = [jobs[0].id, jobs[1].id, other.id, ended.id, uuid4()]
    await stores.jobs.move_leases(WORKER, ids, time, 15.0)
    due_times = [(await document(stores, job.id))["due_time"] for job in [*jobs, other]]
    assert [(due_time - time).total_seconds() for due_time in due_times] == [15, 8, 1, 1]
    assert (await read(stores, jobs[0].id)).revision == jobs[0].revision
    assert await read(stores, ended.id) == ended


async def test_ten_thousand_leases_are_moved_in_one_call(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    time = now() + timedelta(seconds=14)
    await stores.jobs.move_leases(WORKER, [uuid4() for _ in range(9_999)] + [job.id], time, 15.0)
    assert (await document(stores, job.id))["due_time"] == time + LEASE


async def test_a_cancelled_caller_does_not_interrupt_its_write(stores: MongoStores) -> None:
    jobs = [await stored(stores) for _ in range(50)]
    caller = asyncio.create_task(stores.jobs.apply([claim(job.id, WORKER, 0, now(), LEASE) for job in jobs]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await stores.jobs._writes.drain()
    statuses = {(await read(stores, job.id)).status for job in jobs}
    assert statuses == {Status.PROCESSING}
