"""Who may change a job, and when: every step against every state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from google.rpc.code_pb2 import Code

from api_server.domain.attempt import MAX_LONE_LOSSES, Attempt, Failure, Outcome
from api_server.domain.errors import JobNotFound, TransitionRefused
from api_server.domain.job import Job, Status
from api_server.domain.resolution import Applied, Eligible, resolve
from api_server.domain.retry import RetryPolicy
from api_server.domain.transition import Transition
from api_server.domain.transitions import (
    TRANSITIONS,
    cancel,
    claim,
    claim_unfenced,
    complete,
    complete_unfenced,
    end_solitude,
    expire,
    expire_lease,
    fail,
    release,
    retry,
    try_again,
)

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)
SECOND = timedelta(seconds=1)
FAILURE = Failure(13, "broken", "HANDLER_ERROR")
ME, OTHER = "me/1", "other/1"

STEPS: dict[str, Transition] = {
    "claim": claim(ID, ME, 1, NOW, LEASE),
    "claim_unfenced": claim_unfenced(ID, "claim-a", NOW, LEASE),
    "complete": complete(ID, ME, 2, {"hash": "x"}, NOW),
    "fail": fail(ID, ME, 2, FAILURE, NOW, failures=0),
    "try_again": try_again(ID, ME, 2, FAILURE, NOW, failures=0, wait=SECOND),
    "release": release(ID, ME, 2, NOW),
    "end_solitude": end_solitude(ID, ME, 2, NOW, LEASE),
    "complete_unfenced": complete_unfenced(ID, Status.COMPLETED, {"hash": "x"}, None, NOW),
    "cancel": cancel(ID, "cancel-a", "no longer wanted", NOW),
    "retry": retry(ID, "retry-a", NOW),
}


def job(status: Status, attempt: int, worker_id: str = "") -> Job:
    return Job(
        ID, "compute", status, {}, NOW, NOW, attempt=attempt, worker_id=worker_id, start_time=NOW - SECOND
    )


def past(number: int, outcome: Outcome, failure: Failure | None = None, worker_id: str = ME) -> Attempt:
    return Attempt(number, worker_id, NOW - SECOND, NOW, outcome, failure)


STATES: dict[str, Job] = {
    "queued": job(Status.QUEUED, 1),
    "queued_again": job(Status.QUEUED, 2),
    "queued_after_my_failure": replace(
        job(Status.QUEUED, 2), failures=1, past=(past(2, Outcome.ERRORED, FAILURE),)
    ),
    "queued_but_expired": replace(job(Status.QUEUED, 1), expire_time=NOW),
    "queued_for_later": replace(job(Status.QUEUED, 1), next_attempt_time=NOW + SECOND),
    "mine": job(Status.PROCESSING, 2, ME),
    "mine_and_expired": replace(job(Status.PROCESSING, 2, ME), expire_time=NOW),
    "anothers": job(Status.PROCESSING, 2, OTHER),
    "mine_later": job(Status.PROCESSING, 3, ME),
    "taken_without_worker": replace(job(Status.PROCESSING, 2), claim_id="claim-b"),
    "completed_by_me": replace(job(Status.COMPLETED, 2, ME), result={"hash": "other"}),
    "completed_by_another": replace(job(Status.COMPLETED, 3, OTHER), result={"hash": "x"}),
    "failed": replace(job(Status.FAILED, 2, ME), error=Failure(13, "other", "HANDLER_ERROR")),
    "failed_with_my_failure": replace(job(Status.FAILED, 2, ME), error=FAILURE, failures=3),
    "failed_and_expired": replace(job(Status.FAILED, 2, ME), error=FAILURE, expire_time=NOW),
    "poisoned": replace(job(Status.FAILED, 2, ME), error=Failure(10, "", "POISON"), lone_losses=3),
    "cancelled": job(Status.CANCELLED, 2, ME),
}

OK = "ok"
TAKEN_QUEUED, TAKEN_FAILED = "queued", "failed"
TAKEN = "taken"
TERMINAL, SUPERSEDED, EXPIRED, NOT_DUE = "JOB_TERMINAL", "ATTEMPT_SUPERSEDED", "EXPIRED", "NOT_DUE"
HELD, ILLEGAL = "HELD_BY_WORKER", "ILLEGAL_TRANSITION"
COLUMNS = list(STEPS)
TABLE: dict[str, list[str]] = {
    # claim, take, complete, fail, try_again, hand_back, end_solitude, conclude, cancel, retry
    "queued": [OK, OK, *[SUPERSEDED] * 5, ILLEGAL, OK, ILLEGAL],
    # A hand-back that was sent twice, or came after the lease had lapsed, has what it wanted.
    "queued_again": [SUPERSEDED, OK, *[SUPERSEDED] * 3, TAKEN, SUPERSEDED, ILLEGAL, OK, ILLEGAL],
    # Whatever would be decided about the failure now, it was taken before.
    "queued_after_my_failure": [
        *[SUPERSEDED, OK, SUPERSEDED, TAKEN_QUEUED, TAKEN_QUEUED, TAKEN, SUPERSEDED, ILLEGAL, OK, ILLEGAL]
    ],
    "queued_but_expired": [EXPIRED, EXPIRED, *[SUPERSEDED] * 5, ILLEGAL, OK, ILLEGAL],
    "queued_for_later": [OK, NOT_DUE, *[SUPERSEDED] * 5, ILLEGAL, OK, ILLEGAL],
    "mine": [TAKEN, HELD, OK, OK, OK, OK, TAKEN, HELD, OK, ILLEGAL],
    "mine_and_expired": [TAKEN, HELD, OK, OK, OK, OK, TAKEN, HELD, OK, ILLEGAL],
    "anothers": [*[HELD] * 8, OK, ILLEGAL],
    "mine_later": [SUPERSEDED, HELD, *[SUPERSEDED] * 5, HELD, OK, ILLEGAL],
    "taken_without_worker": [SUPERSEDED, ILLEGAL, *[SUPERSEDED] * 5, OK, OK, ILLEGAL],
    "completed_by_me": [*[TERMINAL] * 10],
    "completed_by_another": [SUPERSEDED, TERMINAL, *[SUPERSEDED] * 5, *[TERMINAL] * 3],
    "failed": [*[TERMINAL] * 9, OK],
    "failed_with_my_failure": [*[TERMINAL] * 3, TAKEN_FAILED, TAKEN_FAILED, *[TERMINAL] * 4, OK],
    "failed_and_expired": [*[TERMINAL] * 3, TAKEN_FAILED, TAKEN_FAILED, *[TERMINAL] * 4, EXPIRED],
    "poisoned": [*[TERMINAL] * 9, OK],
    "cancelled": [*[TERMINAL] * 9, OK],
}
CASES = [
    (state, step, expected)
    for state, row in TABLE.items()
    for step, expected in zip(COLUMNS, row, strict=True)
]


@pytest.mark.parametrize(("state", "step", "expected"), CASES)
def test_each_step_meets_each_state_as_the_table_says(state: str, step: str, expected: str) -> None:
    job, transition = STATES[state], STEPS[step]
    resolution = resolve(transition, job)
    if isinstance(resolution, TransitionRefused):
        assert resolution.reason == expected
        assert resolution.metadata == {
            "id": str(ID),
            "status": job.status.value,
            "attempt": str(job.attempt),
        }
        assert not transition.guard.admits(job)
    elif expected == OK:
        assert resolution == Eligible()
    else:
        status = transition.change.status if expected == TAKEN else Status(expected)
        assert resolution == Applied(status, transition.attempt_after)


@pytest.mark.parametrize(("state", "step"), [case[:2] for case in CASES if case[2] == OK])
def test_an_admitted_step_is_one_that_the_map_of_transitions_has(state: str, step: str) -> None:
    assert STEPS[step].change.status in TRANSITIONS[STATES[state].status]


def test_the_map_has_no_transition_that_no_step_does() -> None:
    ends = {
        "expire_lease": (Status.PROCESSING, expire_lease(ID, ME, 2, NOW)),
        "poison": (
            Status.PROCESSING,
            expire_lease(ID, ME, 2, NOW, alone=True, lone_losses=MAX_LONE_LOSSES - 1),
        ),
        "expire": (Status.QUEUED, expire(ID, NOW)),
    }
    done = {(status, step.change.status) for status, step in ends.values()}
    done |= {(s, step.change.status) for step in STEPS.values() for s in step.guard.statuses}
    assert done == {(status, after) for status, afters in TRANSITIONS.items() for after in afters}


def test_only_retry_leads_out_of_a_terminal_state() -> None:
    leads_out = {name for name, step in STEPS.items() if any(s.is_terminal for s in step.guard.statuses)}
    assert leads_out == {"retry"}
    assert Status.COMPLETED not in STEPS["retry"].guard.statuses


def after(job: Job, step: Transition) -> Job:
    """What the database makes of it, as far as a judgement looks at it."""
    change, guard = step.change, step.guard
    queued = change.status is Status.QUEUED
    ended = (past(job.attempt, change.ended, step.failure, job.worker_id),) if change.ended else ()
    return replace(
        job,
        status=change.status,
        worker_id=job.worker_id if change.worker_id is None else change.worker_id,
        attempt=job.attempt + change.adds_attempt,
        result=step.result,
        error=None if queued else step.failure,
        claim_id=step.claim_id or ("" if queued else job.claim_id),
        past=job.past + ended,
        cancel_id=guard.call.id if guard.call and guard.call.name == "cancel_id" else job.cancel_id,
        retry_id=guard.call.id if guard.call and guard.call.name == "retry_id" else job.retry_id,
    )


@pytest.mark.parametrize("step", COLUMNS)
def test_a_step_sent_again_after_it_was_taken_is_known_as_taken(step: str) -> None:
    transition = STEPS[step]
    before = next(state for state in STATES.values() if transition.guard.admits(state))
    assert resolve(transition, after(before, transition)) == Applied(
        transition.change.status, transition.attempt_after
    )


@pytest.mark.parametrize("first", ["fail", "try_again"])
@pytest.mark.parametrize("second", ["fail", "try_again"])
def test_a_failure_reported_again_is_answered_with_what_came_of_it_first(first: str, second: str) -> None:
    job = after(STATES["mine"], STEPS[first])
    assert resolve(STEPS[second], job) == Applied(STEPS[first].change.status, 2)


def test_a_failure_reported_again_after_the_next_claim_is_known_too() -> None:
    job = after(after(STATES["mine"], STEPS["try_again"]), claim(ID, OTHER, 2, NOW, LEASE))
    assert resolve(STEPS["try_again"], job) == Applied(Status.QUEUED, 2)


def test_another_failure_of_the_same_attempt_is_refused() -> None:
    job = after(STATES["mine"], STEPS["try_again"])
    other = try_again(ID, ME, 2, replace(FAILURE, message="other"), NOW, failures=1, wait=SECOND)
    assert isinstance(resolve(other, job), TransitionRefused)


def test_a_failure_whose_message_was_cut_in_the_history_is_known_again() -> None:
    long = replace(FAILURE, message="x" * 4096)
    job = after(STATES["mine"], try_again(ID, ME, 2, long.shortened(), NOW, failures=0, wait=SECOND))
    assert resolve(try_again(ID, ME, 2, long, NOW, failures=1, wait=SECOND), job) == Applied(Status.QUEUED, 2)


def test_a_decision_from_failures_that_were_out_of_date_is_never_a_refusal() -> None:
    job = replace(STATES["mine"], failures=2)
    assert resolve(STEPS["try_again"], job) == Eligible()


@pytest.mark.parametrize("later", ["retry", "claim"])
def test_a_cancel_that_was_done_does_nothing_more_whatever_became_of_the_job(later: str) -> None:
    job = after(after(STATES["queued"], STEPS["cancel"]), STEPS["retry"])
    job = after(job, STEPS["claim"]) if later == "claim" else job
    assert resolve(STEPS["cancel"], job) == Applied(Status.CANCELLED, None)
    assert resolve(cancel(ID, "cancel-b", "another caller", NOW), job) == Eligible()


def test_a_retry_that_was_done_does_nothing_more_whatever_became_of_the_job() -> None:
    failed = after(STATES["failed"], STEPS["retry"])
    failed = after(after(failed, claim(ID, ME, 2, NOW, LEASE)), fail(ID, ME, 3, FAILURE, NOW))
    assert resolve(STEPS["retry"], failed) == Applied(Status.QUEUED, None)
    assert resolve(retry(ID, "retry-b", NOW), failed) == Eligible()


def test_an_expired_job_may_be_retried_with_another_expire_time() -> None:
    assert resolve(retry(ID, "retry-b", NOW, NOW + SECOND), STATES["failed_and_expired"]) == Eligible()


@pytest.mark.parametrize(("before", "allowed"), [(timedelta(milliseconds=1), True), (timedelta(0), False)])
def test_a_job_may_be_started_before_its_expire_time_but_not_at_it(before: timedelta, allowed: bool) -> None:
    job = replace(STATES["queued"], expire_time=NOW + before)
    assert STEPS["claim"].guard.admits(job) is allowed
    assert STEPS["claim_unfenced"].guard.admits(job) is allowed
    assert expire(ID, NOW).guard.admits(job) is not allowed


@pytest.mark.parametrize(("wait", "allowed"), [(timedelta(milliseconds=1), False), (timedelta(0), True)])
def test_a_job_may_be_taken_at_its_next_attempt_time_but_not_before(wait: timedelta, allowed: bool) -> None:
    assert (
        STEPS["claim_unfenced"].guard.admits(replace(STATES["queued"], next_attempt_time=NOW + wait))
        is allowed
    )


@pytest.mark.parametrize(
    ("alone", "lone_losses", "status"),
    [
        (True, 0, Status.QUEUED),
        (True, MAX_LONE_LOSSES - 2, Status.QUEUED),
        (True, MAX_LONE_LOSSES - 1, Status.FAILED),
        (False, MAX_LONE_LOSSES - 1, Status.QUEUED),
    ],
)
def test_a_job_has_failed_at_the_third_loss_of_a_worker_that_had_nothing_else(
    alone: bool, lone_losses: int, status: Status
) -> None:
    lost = expire_lease(ID, ME, 2, NOW, alone=alone, lone_losses=lone_losses)
    assert (lost.change.status, lost.change.adds_loss) == (status, True)
    assert (lost.change.adds_lone_loss, lost.guard.alone) == (alone, alone)
    if status is Status.FAILED:
        assert lost.failure is not None
        assert (lost.failure.code, lost.failure.reason) == (Code.ABORTED, "POISON")


def test_a_holder_without_a_name_is_no_loss() -> None:
    lost = expire_lease(ID, "", 2, NOW, alone=True, lone_losses=MAX_LONE_LOSSES - 1)
    change = lost.change
    assert (change.status, change.adds_loss, change.adds_lone_loss) == (Status.QUEUED, False, False)


def test_a_claim_without_worker_is_not_mistaken_for_another_one() -> None:
    taken = after(STATES["queued"], claim_unfenced(ID, "claim-b", NOW, LEASE))
    assert isinstance(resolve(STEPS["claim_unfenced"], taken), TransitionRefused)


def test_a_second_report_with_another_result_is_refused() -> None:
    done = after(STATES["mine"], complete(ID, ME, 2, {"hash": "first"}, NOW))
    refused = resolve(complete(ID, ME, 2, {"hash": "second"}, NOW), done)
    assert isinstance(refused, TransitionRefused)
    assert refused.reason == TERMINAL


def test_a_job_that_is_not_there_is_not_found() -> None:
    assert isinstance(resolve(STEPS["claim"], None), JobNotFound)


def test_every_change_says_when_the_job_is_looked_at_again_unless_it_has_ended() -> None:
    steps = [
        *STEPS.values(),
        expire_lease(ID, ME, 2, NOW),
        expire_lease(ID, ME, 2, NOW, alone=True, lone_losses=2),
        expire(ID, NOW),
    ]
    for change in (step.change for step in steps):
        assert (change.due_time is None) is change.status.is_terminal
        assert (change.end_time is not None) is change.status.is_terminal
    assert STEPS["claim"].change.due_time == NOW + LEASE


def test_only_claims_add_an_attempt() -> None:
    assert [name for name, step in STEPS.items() if step.change.adds_attempt] == ["claim", "claim_unfenced"]


def test_only_failures_of_the_handler_count_as_failures() -> None:
    counted = {name for name, step in STEPS.items() if step.change.adds_failure}
    assert counted == {"fail", "try_again"}
    assert complete_unfenced(ID, Status.FAILED, None, FAILURE, NOW).change.adds_failure
    assert not expire(ID, NOW).change.adds_failure


# --- History ---


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("queued_again", None),
        ("mine", Outcome.RUNNING),
        ("taken_without_worker", Outcome.RUNNING),
        ("completed_by_me", Outcome.SUCCEEDED),
        ("failed", Outcome.ERRORED),
        ("poisoned", Outcome.LOST),
        ("cancelled", Outcome.CANCELLED),
    ],
)
def test_the_history_ends_with_the_present_attempt(state: str, outcome: Outcome | None) -> None:
    earlier = past(1, Outcome.HANDED_BACK)
    job = replace(STATES[state], past=(earlier,))
    assert job.history[0] == earlier
    if outcome is None:
        assert job.history[1:] == ()
        return
    [present] = job.history[1:]
    assert (present.number, present.worker_id, present.outcome) == (2, job.worker_id, outcome)
    assert present.error == (job.error if outcome is Outcome.ERRORED else None)
    assert (present.start_time, present.end_time) == (job.start_time, job.end_time)


def test_a_job_cancelled_while_it_waited_has_no_attempt_to_show() -> None:
    assert after(STATES["queued"], STEPS["cancel"]).history == ()


# --- The same request ---


def test_the_same_request_is_the_same_json_in_whatever_order() -> None:
    one = replace(STATES["queued"], payload={"a": 1, "b": [2.5, {"c": None}]}, labels={"x": "1"})
    assert one.same_request(replace(one, payload={"b": [2.5, {"c": None}], "a": 1}, attempt=7))
    for payload in ({"a": True, "b": [2.5, {"c": None}]}, {"a": 1, "b": [2.5, {}]}, {}):
        assert not one.same_request(replace(one, payload=payload))


def test_the_same_request_has_the_same_times_and_policy_but_for_its_end() -> None:
    one = replace(STATES["queued"], schedule_time=NOW, timeout=SECOND, retry_policy=RetryPolicy(5))
    assert one.same_request(replace(one, expire_time=NOW, next_attempt_time=NOW))
    for other in (
        replace(one, schedule_time=NOW + SECOND),
        replace(one, timeout=None),
        replace(one, retry_policy=RetryPolicy(6)),
    ):
        assert not one.same_request(other)
