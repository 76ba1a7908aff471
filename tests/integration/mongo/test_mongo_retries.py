"""Tries, Cancel, Retry and progress of jobs, on a real mongod."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from api_server.adapters.mongo.plan import encode, plan
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.attempt import MAX_ATTEMPTS, Attempt, Failure, Outcome
from api_server.domain.errors import TransitionRefused
from api_server.domain.job import Job, Progress, ProgressNote, Status
from api_server.domain.resolution import Applied
from api_server.domain.retry import RetryPolicy, Tries
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
from tests.integration.mongo.jobs import (
    FAILURE,
    LEASE,
    RESULT,
    WORKER,
    document,
    new_job,
    now,
    read,
    set_fields,
    stored,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
HOSTILE = Failure(13, "$error $$ROOT {'$set': 1}", "HANDLER_ERROR")


async def applied(stores: MongoStores, *transitions: Transition) -> None:
    outcomes = await stores.jobs.apply(transitions)
    assert all(isinstance(outcome, Applied) for outcome in outcomes), outcomes


# --- Trying again ---


async def test_a_job_waits_after_a_failed_try_which_is_in_its_history(stores: MongoStores) -> None:
    job, time = await stored(stores, "processing"), now()
    await applied(stores, try_again(job.id, WORKER, 1, HOSTILE, time, failures=0, wait=SECOND))
    assert job.start_time is not None
    assert await read(stores, job.id) == replace(
        job,
        status=Status.QUEUED,
        worker_id="",
        failures=1,
        past=(Attempt(1, WORKER, job.start_time, time, Outcome.ERRORED, HOSTILE),),
        next_attempt_time=time + SECOND,
        revision=job.revision + 1,
        update_time=time,
    )
    assert (await document(stores, job.id))["due_time"] == time + SECOND


async def test_failed_tries_in_one_batch_have_their_own_waits_and_errors(stores: MongoStores) -> None:
    jobs, time = [await stored(stores, "processing") for _ in range(20)], now()
    await applied(
        stores,
        *(
            try_again(
                job.id,
                WORKER,
                1,
                replace(HOSTILE, message=f"$number {number}"),
                time,
                failures=0,
                wait=number * SECOND,
            )
            for number, job in enumerate(jobs)
        ),
    )
    for number, job in enumerate(jobs):
        after = await read(stores, job.id)
        assert after.next_attempt_time == time + number * SECOND
        assert (await document(stores, job.id))["due_time"] == after.next_attempt_time
        [attempt] = after.history
        assert attempt.error == replace(HOSTILE, message=f"$number {number}")


async def test_a_failure_that_was_decided_with_an_outdated_number_is_not_written(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await set_fields(stores, job.id, {"$set": {"failures": 2}})
    where = {"_id": job.id}
    for wrong in (0, 1, 3):
        transition = try_again(job.id, WORKER, 1, FAILURE, now(), failures=wrong, wait=SECOND)
        assert not await sent_once(stores, transition)
    assert (await stores.jobs._jobs.find_one(where))["failures"] == 2
    assert await sent_once(stores, fail(job.id, WORKER, 1, FAILURE, now(), failures=2))
    assert (await read(stores, job.id)).failures == 3


async def sent_once(stores: MongoStores, transition: Transition) -> bool:
    """Whether the statement matched. The store would send it again until there is a new decision."""
    [statement] = plan([encode(transition)])
    answer = await stores.jobs._jobs.bulk_write(statement.writes)
    return bool(answer.matched_count)


async def test_a_wait_ends_at_the_expire_time_at_the_latest(stores: MongoStores) -> None:
    time = now()
    job = await stored(stores, "processing", expire_time=time + 10 * SECOND)
    await applied(stores, try_again(job.id, WORKER, 1, FAILURE, time, failures=0, wait=HOUR))
    assert (await document(stores, job.id))["due_time"] == time + 10 * SECOND
    assert (await read(stores, job.id)).next_attempt_time == time + HOUR


async def test_the_next_claim_removes_the_wait_and_the_progress(stores: MongoStores) -> None:
    job, time = await stored(stores, "processing"), now()
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 50.0, "half")], time)
    await applied(stores, try_again(job.id, WORKER, 1, FAILURE, time, failures=0, wait=SECOND))
    assert (await read(stores, job.id)).progress == Progress(50.0, "half")
    await applied(stores, claim(job.id, "w/2", 1, time, LEASE))
    after = await read(stores, job.id)
    assert (after.attempt, after.next_attempt_time, after.progress, after.failures) == (2, None, None, 1)
    assert [each.outcome for each in after.history] == [Outcome.ERRORED, Outcome.RUNNING]


async def test_tries_are_read_with_the_policy(stores: MongoStores) -> None:
    policy = RetryPolicy(7, SECOND / 3, HOUR, 1.5, 0.25)
    one = await stored(stores, "processing", retry_policy=policy)
    other = await stored(stores, "failed")
    found = await stores.jobs.tries([one.id, other.id, new_job().id])
    assert found == {one.id: Tries(0, policy), other.id: Tries(1)}


async def test_a_failure_without_a_worker_is_final_and_counts(stores: MongoStores) -> None:
    job = await stored(stores, "claimed_unfenced")
    await applied(stores, complete_unfenced(job.id, Status.FAILED, None, FAILURE, now()))
    after = await read(stores, job.id)
    assert (after.status, after.failures, after.error) == (Status.FAILED, 1, FAILURE)
    assert [(each.worker_id, each.outcome) for each in after.history] == [("", Outcome.ERRORED)]


async def test_an_unfenced_claim_before_the_next_attempt_time_is_refused(stores: MongoStores) -> None:
    time = now()
    job = await stored(stores, "processing")
    await applied(stores, try_again(job.id, WORKER, 1, FAILURE, time, failures=0, wait=SECOND))
    early = claim_unfenced(job.id, "claim-2", time + SECOND - timedelta(milliseconds=1), LEASE)
    [refused] = await stores.jobs.apply([early])
    assert isinstance(refused, TransitionRefused)
    assert refused.reason == "NOT_DUE"
    await applied(stores, claim_unfenced(job.id, "claim-2", time + SECOND, LEASE))


# --- History ---


async def test_the_history_keeps_the_latest_twenty_attempts(stores: MongoStores) -> None:
    job = await stored(stores)
    time = now()
    for attempt in range(1, 25):
        worker, at = f"w/{attempt}", time + attempt * SECOND
        await applied(stores, claim(job.id, worker, attempt - 1, at, LEASE))
        await applied(stores, release(job.id, worker, attempt, at + SECOND / 2))
    queued = await read(stores, job.id)
    assert [each.number for each in queued.history] == list(range(5, 25))
    await applied(stores, claim(job.id, WORKER, 24, time + HOUR, LEASE))
    running = await read(stores, job.id)
    assert [each.number for each in running.history] == list(range(6, 26))
    assert len(running.history) == MAX_ATTEMPTS
    for each in queued.history:
        at = time + each.number * SECOND
        assert each == Attempt(each.number, f"w/{each.number}", at, at + SECOND / 2, Outcome.HANDED_BACK)


@pytest.mark.parametrize("length", [512, 513])
async def test_messages_of_past_attempts_are_shortened(stores: MongoStores, length: int) -> None:
    long = replace(FAILURE, message="ü" * length)
    tried, failed = await stored(stores, "processing"), await stored(stores, "processing")
    await applied(stores, try_again(tried.id, WORKER, 1, long, now(), failures=0, wait=SECOND))
    await applied(stores, fail(failed.id, WORKER, 1, long, now()))
    assert (await read(stores, failed.id)).history[-1].error == long
    await applied(stores, retry(failed.id, "retry-1", now()))
    for job in (tried, failed):
        [attempt] = (await read(stores, job.id)).history
        assert attempt.error == replace(FAILURE, message="ü" * 512)


# --- Cancel ---


async def test_a_cancelled_job_has_the_reason_and_its_last_holder(stores: MongoStores) -> None:
    time = now()
    for status, worker_id in [("queued", ""), ("processing", WORKER), ("claimed_unfenced", "")]:
        job = await stored(stores, status)
        await applied(stores, cancel(job.id, "c", "no longer wanted", time))
        after = await read(stores, job.id)
        assert after == replace(
            job,
            status=Status.CANCELLED,
            error=Failure(1, "no longer wanted", "CANCELLED"),
            worker_id=worker_id,
            end_time=time,
            update_time=time,
            revision=job.revision + 1,
            cancel_id="c",
        )
        assert [each.outcome for each in after.history] == ([] if status == "queued" else [Outcome.CANCELLED])
        assert "due_time" not in await document(stores, job.id)


async def test_a_cancelled_job_refuses_reports(stores: MongoStores) -> None:
    job = await stored(stores, "cancelled")
    for report in (
        complete(job.id, WORKER, 1, RESULT, now()),
        fail(job.id, WORKER, 1, FAILURE, now()),
        try_again(job.id, WORKER, 1, FAILURE, now(), failures=0, wait=SECOND),
        release(job.id, WORKER, 1, now()),
    ):
        [outcome] = await stores.jobs.apply([report])
        assert isinstance(outcome, TransitionRefused)
        assert outcome.reason == "JOB_TERMINAL"
    assert await read(stores, job.id) == job


@pytest.mark.parametrize("status", ["queued", "processing"])
async def test_the_job_agrees_with_the_answers_to_a_cancel_and_a_concurrent_transition(
    stores: MongoStores, status: str
) -> None:
    for _ in range(20):
        job = await stored(stores, status)
        transition = (
            claim(job.id, WORKER, 0, now(), LEASE)
            if status == "queued"
            else complete(job.id, WORKER, 1, RESULT, now())
        )
        [cancelled], [other] = await asyncio.gather(
            stores.jobs.apply([cancel(job.id, "c", "", now())]), stores.jobs.apply([transition])
        )
        after = await read(stores, job.id)
        if isinstance(cancelled, Applied):
            assert after.status is Status.CANCELLED
            # A claim may have been applied before the cancel; a result never is.
            assert isinstance(other, TransitionRefused) or status == "queued"
        else:
            assert (after.status, after.result) == (Status.COMPLETED, RESULT)
            assert isinstance(other, Applied)


async def test_a_cancel_that_is_sent_again_after_a_retry_has_no_effect(stores: MongoStores) -> None:
    job = await stored(stores)
    first = cancel(job.id, "c", "", now())
    await applied(stores, first)
    await applied(stores, retry(job.id, "r", now()))
    before = await read(stores, job.id)
    assert await stores.jobs.apply([first]) == [Applied(Status.CANCELLED, None)]
    assert await read(stores, job.id) == before


# --- Retry ---


async def failed(stores: MongoStores) -> Job:
    """A failed job with every field that Retry must remove."""
    job = await stored(stores, "processing")
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 1.0, "")], now())
    await applied(stores, fail(job.id, WORKER, 1, FAILURE, now()))
    await set_fields(stores, job.id, {"$set": {"losses": 2}})
    return await read(stores, job.id)


async def test_retry_queues_a_failed_job_at_once_with_all_its_tries(stores: MongoStores) -> None:
    job, time = await failed(stores), now()
    await applied(stores, retry(job.id, "r", time))
    after = await read(stores, job.id)
    assert after == replace(
        job,
        status=Status.QUEUED,
        worker_id="",
        error=None,
        end_time=None,
        progress=None,
        failures=0,
        losses=0,
        past=(replace(job.history[-1], outcome=Outcome.ERRORED, error=FAILURE),),
        revision=job.revision + 1,
        update_time=time,
        retry_id="r",
    )
    # The attempt ended together with the job, not now.
    assert after.history[-1].end_time == job.end_time
    assert (await document(stores, job.id))["due_time"] == time
    await applied(stores, claim(job.id, "w/2", 1, time, LEASE))


async def test_retry_of_a_job_cancelled_while_it_ran_keeps_that_attempt(stores: MongoStores) -> None:
    job = await stored(stores, "cancelled")
    await applied(stores, retry(job.id, "r", now()))
    [attempt] = (await read(stores, job.id)).history
    assert attempt == job.history[-1]
    assert (attempt.outcome, attempt.error) == (Outcome.CANCELLED, None)


async def test_retry_of_a_job_cancelled_while_it_waited_adds_no_attempt(stores: MongoStores) -> None:
    time = now()
    job = await stored(stores, schedule_time=time + HOUR, next_attempt_time=time + HOUR)
    await applied(stores, cancel(job.id, "c", "", time))
    await applied(stores, retry(job.id, "r", time))
    after = await read(stores, job.id)
    assert (after.history, after.next_attempt_time, after.schedule_time) == ((), None, time + HOUR)
    assert (await document(stores, job.id))["due_time"] == time


async def test_retry_of_an_expired_job_needs_another_expire_time(stores: MongoStores) -> None:
    time = now()
    job = await stored(stores, expire_time=time, create_time=time)
    assert await stores.due.expire("compute", [job.id], time) == 1
    [refused] = await stores.jobs.apply([retry(job.id, "r", time)])
    assert isinstance(refused, TransitionRefused)
    assert refused.reason == "EXPIRED"
    await applied(stores, retry(job.id, "r", time, time + SECOND))
    assert (await read(stores, job.id)).expire_time == time + SECOND
    assert (await document(stores, job.id))["due_time"] == time


async def test_a_retry_that_is_sent_again_after_the_job_failed_again_has_no_effect(
    stores: MongoStores,
) -> None:
    job = await stored(stores, "failed")
    first = retry(job.id, "r", now())
    await applied(stores, first)
    await applied(stores, claim(job.id, WORKER, 1, now(), LEASE))
    await applied(stores, fail(job.id, WORKER, 2, FAILURE, now()))
    before = await read(stores, job.id)
    assert await stores.jobs.apply([first]) == [Applied(Status.QUEUED, None)]
    assert await read(stores, job.id) == before


async def test_one_of_several_concurrent_retries_is_applied(stores: MongoStores) -> None:
    job = await stored(stores, "failed")
    calls = [retry(job.id, f"r{number}", now()) for number in range(10)]
    outcomes = [outcome for [outcome] in await asyncio.gather(*(stores.jobs.apply([each]) for each in calls))]
    assert sum(isinstance(outcome, Applied) for outcome in outcomes) == 1
    assert (await read(stores, job.id)).revision == job.revision + 1


# --- Progress, and the jobs that a worker holds ---


async def test_only_progress_of_the_holder_is_stored(stores: MongoStores) -> None:
    time = now()
    mine, other = await stored(stores, "processing"), await stored(stores, "claimed_unfenced")
    done = await stored(stores, "completed")
    notes = [
        ProgressNote(mine.id, 1, 12.5, "$half.way"),
        ProgressNote(other.id, 1, 1.0, ""),
        ProgressNote(done.id, 1, 1.0, ""),
        ProgressNote(new_job().id, 1, 1.0, ""),
    ]
    await stores.jobs.note_progress(WORKER, notes, time)
    assert await read(stores, mine.id) == replace(
        mine, progress=Progress(12.5, "$half.way"), revision=mine.revision + 1, update_time=time
    )
    assert await read(stores, other.id) == other
    assert await read(stores, done.id) == done


async def test_progress_of_another_attempt_or_worker_is_dropped(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 2, 1.0, "")], now())
    await stores.jobs.note_progress("w/2", [ProgressNote(job.id, 1, 1.0, "")], now())
    assert await read(stores, job.id) == job


async def test_progress_that_is_sent_again_or_late_has_no_effect(stores: MongoStores) -> None:
    job, time = await stored(stores, "processing"), now()
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 2.0, "new")], time)
    after = await read(stores, job.id)
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 2.0, "new")], time)
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 1.0, "old")], time - SECOND)
    assert await read(stores, job.id) == after
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 3.0, "newer")], time + SECOND)
    assert (await read(stores, job.id)).progress == Progress(3.0, "newer")


async def test_a_thousand_notes_are_stored_by_one_call(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    notes = [ProgressNote(new_job().id, 1, 1.0, "") for _ in range(999)]
    await stores.jobs.note_progress(WORKER, [*notes, ProgressNote(job.id, 1, 9.0, "")], now())
    assert (await read(stores, job.id)).progress == Progress(9.0, "")
    await stores.jobs.note_progress(WORKER, [], now())


async def test_progress_stays_with_the_result(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    await stores.jobs.note_progress(WORKER, [ProgressNote(job.id, 1, 100.0, "done")], now())
    await applied(stores, complete(job.id, WORKER, 1, RESULT, now()))
    assert (await read(stores, job.id)).progress == Progress(100.0, "done")


async def test_a_worker_still_holds_the_jobs_that_it_runs(stores: MongoStores) -> None:
    held = [await stored(stores, "processing") for _ in range(2)]
    others = [
        await stored(stores, status) for status in ("queued", "claimed_unfenced", "cancelled", "completed")
    ]
    others.append(new_job())
    superseded = await stored(stores)
    await applied(stores, claim(superseded.id, "w/2", 0, now(), LEASE))
    ids = [job.id for job in (*held, *others, superseded)]
    assert await stores.jobs.still_held(WORKER, ids) == {job.id for job in held}
    assert await stores.jobs.still_held(WORKER, []) == set()
