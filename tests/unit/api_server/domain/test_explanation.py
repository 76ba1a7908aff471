"""Why a job does not run: for each reason, and for any facts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.attempt import Failure
from api_server.domain.explanation import Explanation, explain
from api_server.domain.fleet import Fleet, Worker, WorkerIdentity, WorkerReport
from api_server.domain.job import Job, Status
from api_server.domain.job_facts import Ahead, Facts, Inspected
from api_server.domain.obstacles import LONE_LOSSES, Reason
from job_client._gen.jobs.v1.explain_pb2 import ExplainResponse
from worker_service.claiming import suspects

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DUE = NOW + 5 * SECOND


def job(status: Status = Status.QUEUED, **fields: Any) -> Job:
    return Job(
        UUID(int=7),
        "compute",
        status,
        {},
        create_time=NOW - SECOND,
        update_time=NOW - SECOND,
        **fields,
    )


def worker(
    name: str = "w", state: str = "consuming", partitions: tuple[int, ...] = (0, 1), **report: Any
) -> Worker:
    identity = WorkerIdentity(f"{name}/1", name, "host", 1, ("compute", "data"))
    assignments = {"jobs.compute": partitions} if partitions else {}
    return Worker(identity, WorkerReport(state, assignments, **report), NOW - 2 * SECOND)


def facts(of: Job | None = None, *workers: Worker, **others: Any) -> Facts:
    """With a worker `w`, unless `workers` are named."""
    inspected = Inspected(
        of or job(), others.pop("due_time", DUE), others.pop("alone", False), others.pop("partition", None)
    )
    return Facts(inspected, NOW, workers=others.pop("workers", workers or (worker(),)), **others)


def reasons(explanation: Explanation) -> list[Reason]:
    return [cause.reason for cause in explanation.causes]


BACKOFF = job(failures=2, next_attempt_time=DUE, schedule_time=NOW - SECOND)
HELD = job(Status.PROCESSING, worker_id="w/1", attempt=2, start_time=NOW - SECOND)


@pytest.mark.parametrize(
    ("given_facts", "expected"),
    [
        (facts(), [Reason.DISPATCHING]),
        (facts(job(Status.COMPLETED, end_time=NOW)), [Reason.ENDED]),
        (facts(HELD), [Reason.RUNNING]),
        (facts(HELD, worker("other", "lost")), [Reason.RUNNING]),
        (facts(HELD, worker("w", "lost")), [Reason.WORKER_LOST]),
        (facts(job(Status.PROCESSING, claim_id="c")), [Reason.CLAIMED_WITHOUT_WORKER]),
        (facts(job(expire_time=NOW)), [Reason.EXPIRED]),
        (facts(job(expire_time=NOW + SECOND)), [Reason.DISPATCHING]),
        (facts(job(schedule_time=DUE, next_attempt_time=DUE)), [Reason.SCHEDULED]),
        (facts(job(schedule_time=NOW, next_attempt_time=NOW)), [Reason.DISPATCHING]),
        (facts(BACKOFF), [Reason.RETRY_BACKOFF]),
        (facts(BACKOFF, worker("w", "lost"), ahead=Ahead(3)), [Reason.RETRY_BACKOFF, Reason.NO_WORKER]),
        (facts(fleet=Fleet(consuming=False)), [Reason.FLEET_STOPPED]),
        (facts(fleet=Fleet(stopped_types=("compute",))), [Reason.TYPE_STOPPED]),
        (facts(fleet=Fleet(stopped_types=("data",))), [Reason.DISPATCHING]),
        (facts(workers=()), [Reason.NO_WORKER]),
        (facts(None, worker("a", "lost"), worker("b", "draining")), [Reason.NO_WORKER]),
        (facts(fleet=Fleet(stopped_workers=("w",))), [Reason.WORKERS_STOPPED]),
        (facts(None, worker(), worker("b"), fleet=Fleet(stopped_workers=("w",))), [Reason.DISPATCHING]),
        (facts(None, worker("w", "idle", ())), [Reason.NO_PARTITION]),
        (facts(partition=1), [Reason.DISPATCHING]),
        (facts(partition=2), [Reason.NO_PARTITION]),
        (facts(job(losses=LONE_LOSSES - 1)), [Reason.DISPATCHING]),
        (facts(job(losses=LONE_LOSSES)), [Reason.SUSPECT]),
        (facts(None, worker(busy_types=("compute",))), [Reason.WORKERS_BUSY]),
        (facts(None, worker(busy_types=("data",))), [Reason.DISPATCHING]),
        (facts(None, worker(busy_types=("compute",)), worker("b")), [Reason.DISPATCHING]),
        (
            facts(
                None,
                worker(busy_types=("compute",)),
                worker("b", partitions=(2,)),
                partition=1,
                ahead=Ahead(1),
            ),
            [Reason.WORKERS_BUSY, Reason.JOBS_AHEAD],
        ),
        (facts(ahead=Ahead(0, is_capped=True)), [Reason.DISPATCHING]),
        (facts(ahead=Ahead(12)), [Reason.JOBS_AHEAD]),
        (
            facts(fleet=Fleet(False, 1, (), ("compute",)), ahead=Ahead(1), workers=()),
            [Reason.FLEET_STOPPED, Reason.TYPE_STOPPED, Reason.NO_WORKER, Reason.JOBS_AHEAD],
        ),
    ],
)
def test_each_reason_has_its_facts(given_facts: Facts, expected: list[Reason]) -> None:
    assert reasons(explain(given_facts)) == expected


@pytest.mark.parametrize(
    ("given_facts", "sentences"),
    [
        (
            facts(HELD),
            (
                "Worker w/1 holds the job since 2026-01-02T03:04:04.678Z (attempt 2). "
                "The worker runs the job and reports the outcome. If no heartbeat extends the lease, it ends "
                "at 2026-01-02T03:04:10.678Z, and the job is queued again."
            ),
        ),
        (
            facts(replace(HELD, lone_losses=2), worker("w", "lost"), alone=True),
            (
                "Worker w/1 holds the job since 2026-01-02T03:04:04.678Z (attempt 2), but its last heartbeat "
                "was at 2026-01-02T03:04:03.678Z. If the worker stays silent, the lease ends "
                "at 2026-01-02T03:04:10.678Z, and the job fails with the reason POISON."
            ),
        ),
        (
            facts(job(Status.FAILED, end_time=NOW, error=Failure(13, "broken", "HANDLER_ERROR"))),
            (
                "The job has ended as failed at 2026-01-02T03:04:05.678Z, with the reason HANDLER_ERROR. "
                "Nothing, unless Retry queues it again."
            ),
        ),
        (
            facts(BACKOFF),
            (
                "The handler has failed 2 times of at most 3. The job waits until 2026-01-02T03:04:10.678Z "
                "for its next try. The job is dispatched to the workers at 2026-01-02T03:04:10.678Z."
            ),
        ),
        (
            facts(job(expire_time=NOW + SECOND), ahead=Ahead(1000, is_capped=True)),
            (
                "At least 1000 jobs of the type compute may come first. A worker claims the job after "
                "those that come first. If the job still waits at 2026-01-02T03:04:06.678Z, it fails "
                "with the reason EXPIRED."
            ),
        ),
        (
            facts(None, *(worker(name, busy_types=("compute",)) for name in "dacbe")),
            (
                "The workers that may take the job have no free slot for it: a, b, c and 2 more. "
                "A worker claims the job when a slot is free and no other job comes first."
            ),
        ),
    ],
)
def test_the_sentences_tell_names_and_times(given_facts: Facts, sentences: str) -> None:
    explanation = explain(given_facts)
    assert f"{explanation.causes[0].message} {explanation.next}" == sentences


@pytest.mark.parametrize(
    ("given_facts", "next_time"),
    [
        (facts(), DUE),
        (facts(job(expire_time=NOW + SECOND)), NOW + SECOND),
        (facts(job(schedule_time=DUE, next_attempt_time=DUE)), DUE),
        (facts(job(schedule_time=DUE, next_attempt_time=DUE, expire_time=DUE - SECOND)), DUE - SECOND),
        (facts(HELD), DUE),
        (facts(fleet=Fleet(consuming=False)), None),
        (facts(job(Status.CANCELLED), due_time=None), None),
    ],
)
def test_the_time_of_what_comes_next(given_facts: Facts, next_time: datetime | None) -> None:
    assert explain(given_facts).next_time == next_time


TIMES = st.none() | st.integers(-5, 5).map(lambda seconds: NOW + seconds * SECOND)
NAMES = st.sampled_from(["a", "b", "c", "d", "w"])
TYPES = st.lists(st.sampled_from(["compute", "data"]), unique=True).map(tuple)
JOBS = st.builds(
    job,
    st.sampled_from(Status),
    worker_id=st.sampled_from(["", "w/1", "gone/1"]),
    attempt=st.integers(0, 3),
    losses=st.integers(0, 6),
    lone_losses=st.integers(0, 3),
    failures=st.integers(0, 3),
    start_time=TIMES,
    end_time=TIMES,
    schedule_time=TIMES,
    expire_time=TIMES,
    next_attempt_time=TIMES,
)
WORKERS = st.builds(
    worker,
    NAMES,
    st.sampled_from(["consuming", "paused", "draining", "lost", "idle", "unspecified"]),
    st.lists(st.integers(0, 2), unique=True).map(tuple),
    busy_types=TYPES,
)
FACTS = st.builds(
    Facts,
    st.builds(Inspected, JOBS, TIMES, st.booleans(), st.none() | st.integers(0, 3)),
    st.just(NOW),
    st.builds(Fleet, st.booleans(), st.just(1), st.lists(NAMES, unique=True).map(tuple), TYPES),
    st.lists(WORKERS, max_size=4),
    st.none() | st.builds(Ahead, st.integers(0, 1000), st.booleans()),
)
OF_STATUS = {
    Status.PROCESSING: {Reason.RUNNING, Reason.WORKER_LOST, Reason.CLAIMED_WITHOUT_WORKER},
    **{status: {Reason.ENDED} for status in Status if status.is_terminal},
}
OF_STATUS[Status.QUEUED] = set(Reason) - OF_STATUS[Status.PROCESSING] - {Reason.ENDED}


@given(FACTS)
def test_every_job_has_reasons_that_fit_its_status(given_facts: Facts) -> None:
    explanation = explain(given_facts)
    found = reasons(explanation)
    assert found
    assert len(set(found)) == len(found)
    assert set(found) <= OF_STATUS[given_facts.inspected.job.status]
    assert all(cause.message.endswith(".") for cause in explanation.causes)
    assert explanation.next.endswith(".")
    alone = {Reason.EXPIRED, Reason.DISPATCHING, Reason.ENDED, *OF_STATUS[Status.PROCESSING]}
    assert len(found) == 1 or not alone & set(found)


@given(FACTS)
def test_the_order_of_the_workers_changes_nothing(given_facts: Facts) -> None:
    # Workers have different names.
    workers = list({each.identity.name: each for each in given_facts.workers}.values())
    one, other = (replace(given_facts, workers=order) for order in (workers, workers[::-1]))
    assert explain(one) == explain(other)


@given(FACTS)
def test_a_stop_that_ends_leaves_all_other_reasons(given_facts: Facts) -> None:
    """The further reasons are what keeps the job from running after the first one has gone."""
    stopped = replace(given_facts, fleet=replace(given_facts.fleet, consuming=False))
    before, after = (
        [each for each in reasons(explain(these)) if each is not Reason.DISPATCHING]
        for these in (stopped, replace(stopped, fleet=replace(stopped.fleet, consuming=True)))
    )
    assert [each for each in before if each is not Reason.FLEET_STOPPED] == after


def test_reasons_are_those_of_the_contract() -> None:
    assert {reason.value for reason in Reason} == set(ExplainResponse.Reason.keys()) - {"unspecified"}


def test_workers_run_a_job_alone_from_the_same_number_of_losses_on() -> None:
    assert LONE_LOSSES == suspects.LONE_LOSSES
