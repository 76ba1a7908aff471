"""Who may change a job, and when: every transition in every state."""

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
    CLOCK_TOLERANCE,
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


def examples(now: datetime) -> dict[str, Transition]:
    """One of each kind, as calls at this time make them."""
    return {
        "claim": claim(ID, ME, 1, now, LEASE),
        "claim_unfenced": claim_unfenced(ID, "claim-a", now, LEASE),
        "complete": complete(ID, ME, 2, {"hash": "x"}, now),
        "fail": fail(ID, ME, 2, FAILURE, now, failures=0),
        "try_again": try_again(ID, ME, 2, FAILURE, now, failures=0, wait=SECOND),
        "release": release(ID, ME, 2, now),
        "end_solitude": end_solitude(ID, ME, 2, now, LEASE),
        "complete_unfenced": complete_unfenced(ID, Status.COMPLETED, {"hash": "x"}, None, now),
        "cancel": cancel(ID, "cancel-a", "no longer wanted", now),
        "retry": retry(ID, "retry-a", now),
    }


EXAMPLES = examples(NOW)


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
    "queued_for_much_later": replace(
        job(Status.QUEUED, 1), next_attempt_time=NOW + CLOCK_TOLERANCE + SECOND / 1000
    ),
    "queued_for_later": replace(job(Status.QUEUED, 1), next_attempt_time=NOW + CLOCK_TOLERANCE),
    "mine": job(Status.PROCESSING, 2, ME),
    "mine_and_expired": replace(job(Status.PROCESSING, 2, ME), expire_time=NOW),
    "anothers": job(Status.PROCESSING, 2, OTHER),
    "mine_later": job(Status.PROCESSING, 3, ME),
    "claimed_unfenced": replace(job(Status.PROCESSING, 2), claim_id="claim-b"),
    "completed_by_me": replace(job(Status.COMPLETED, 2, ME), result={"hash": "other"}),
    "completed_by_another": replace(job(Status.COMPLETED, 3, OTHER), result={"hash": "x"}),
    "failed": replace(job(Status.FAILED, 2, ME), error=Failure(13, "other", "HANDLER_ERROR")),
    "failed_with_my_failure": replace(job(Status.FAILED, 2, ME), error=FAILURE, failures=3),
    "failed_and_expired": replace(job(Status.FAILED, 2, ME), error=FAILURE, expire_time=NOW),
    "poisoned": replace(job(Status.FAILED, 2, ME), error=Failure(10, "", "POISON"), lone_losses=3),
    "cancelled": job(Status.CANCELLED, 2, ME),
}

OK = "ok"
APPLIED_QUEUED, APPLIED_FAILED = "queued", "failed"
APPLIED = "applied"
TERMINAL, SUPERSEDED, EXPIRED, NOT_DUE = "JOB_TERMINAL", "ATTEMPT_SUPERSEDED", "EXPIRED", "NOT_DUE"
HELD, ILLEGAL = "HELD_BY_WORKER", "ILLEGAL_TRANSITION"
COLUMNS = list(EXAMPLES)
TABLE: dict[str, list[str]] = {
    # claim, claim_unfenced, complete, fail, try_again, release, end_solitude, complete_unfenced, cancel,
    # retry
    "queued": [OK, OK, *[SUPERSEDED] * 5, ILLEGAL, OK, ILLEGAL],
    # A release that is sent again, or comes after the lease has ended, already has its effect.
    "queued_again": [SUPERSEDED, OK, *[SUPERSEDED] * 3, APPLIED, SUPERSEDED, ILLEGAL, OK, ILLEGAL],
    # The failure was applied before, so a new decision about it does not count.
    "queued_after_my_failure": [
        *[
            SUPERSEDED,
            OK,
            SUPERSEDED,
            APPLIED_QUEUED,
            APPLIED_QUEUED,
            APPLIED,
            SUPERSEDED,
            ILLEGAL,
            OK,
            ILLEGAL,
        ]
    ],
    "queued_but_expired": [EXPIRED, EXPIRED, *[SUPERSEDED] * 5, ILLEGAL, OK, ILLEGAL],
    "queued_for_much_later": [NOT_DUE, NOT_DUE, *[SUPERSEDED] * 5, ILLEGAL, OK, ILLEGAL],
    # Another API server's clock may be a little ahead.
    "queued_for_later": [OK, NOT_DUE, *[SUPERSEDED] * 5, ILLEGAL, OK, ILLEGAL],
    "mine": [APPLIED, HELD, OK, OK, OK, OK, APPLIED, HELD, OK, ILLEGAL],
    "mine_and_expired": [APPLIED, HELD, OK, OK, OK, OK, APPLIED, HELD, OK, ILLEGAL],
    "anothers": [*[HELD] * 8, OK, ILLEGAL],
    "mine_later": [SUPERSEDED, HELD, *[SUPERSEDED] * 5, HELD, OK, ILLEGAL],
    "claimed_unfenced": [SUPERSEDED, ILLEGAL, *[SUPERSEDED] * 5, OK, OK, ILLEGAL],
    "completed_by_me": [*[TERMINAL] * 10],
    "completed_by_another": [SUPERSEDED, TERMINAL, *[SUPERSEDED] * 5, *[TERMINAL] * 3],
    "failed": [*[TERMINAL] * 9, OK],
    "failed_with_my_failure": [*[TERMINAL] * 3, APPLIED_FAILED, APPLIED_FAILED, *[TERMINAL] * 4, OK],
    "failed_and_expired": [*[TERMINAL] * 3, APPLIED_FAILED, APPLIED_FAILED, *[TERMINAL] * 4, EXPIRED],
    "poisoned": [*[TERMINAL] * 9, OK],
    "cancelled": [*[TERMINAL] * 9, OK],
}
CASES = [
    (state, name, expected)
    for state, row in TABLE.items()
    for name, expected in zip(COLUMNS, row, strict=True)
]


@pytest.mark.parametrize(("state", "name", "expected"), CASES)
def test_each_transition_resolves_in_each_state_as_in_the_table(state: str, name: str, expected: str) -> None:
    job, transition = STATES[state], EXAMPLES[name]
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
        status = transition.change.status if expected == APPLIED else Status(expected)
        assert isinstance(resolution, Applied)
        assert (resolution.status, resolution.attempt) == (status, transition.attempt_after)


@pytest.mark.parametrize(("state", "name"), [case[:2] for case in CASES if case[2] == OK])
def test_the_map_of_transitions_has_every_transition_that_is_admitted(state: str, name: str) -> None:
    assert EXAMPLES[name].change.status in TRANSITIONS[STATES[state].status]


def test_the_map_of_transitions_has_no_other_ones() -> None:
    ends = {
        "expire_lease": (Status.PROCESSING, expire_lease(ID, ME, 2, NOW)),
        "poison": (
            Status.PROCESSING,
            expire_lease(ID, ME, 2, NOW, alone=True, lone_losses=MAX_LONE_LOSSES - 1),
        ),
        "expire": (Status.QUEUED, expire(ID, NOW)),
    }
    done = {(status, transition.change.status) for status, transition in ends.values()}
    done |= {
        (s, transition.change.status) for transition in EXAMPLES.values() for s in transition.guard.statuses
    }
    assert done == {(status, after) for status, afters in TRANSITIONS.items() for after in afters}


def test_only_retry_leads_out_of_a_terminal_state() -> None:
    leads_out = {
        name for name, transition in EXAMPLES.items() if any(s.is_terminal for s in transition.guard.statuses)
    }
    assert leads_out == {"retry"}
    assert Status.COMPLETED not in EXAMPLES["retry"].guard.statuses


def after(job: Job, transition: Transition) -> Job:
    """The job after the transition, in the fields that a resolution depends on."""
    change, guard = transition.change, transition.guard
    queued = change.status is Status.QUEUED
    ended: tuple[Attempt, ...] = ()
    if change.ended:
        attempt = past(job.attempt, change.ended, transition.failure, job.worker_id)
        ended = (replace(attempt, end_time=change.update_time),)
    return replace(
        job,
        status=change.status,
        worker_id=job.worker_id if change.worker_id is None else change.worker_id,
        attempt=job.attempt + change.adds_attempt,
        start_time=change.start_time or job.start_time,
        end_time=change.end_time,
        result=transition.result,
        error=None if queued else transition.failure,
        claim_id=transition.claim_id or ("" if queued else job.claim_id),
        past=job.past + ended,
        cancel_id=guard.call.id if guard.call and guard.call.name == "cancel_id" else job.cancel_id,
        retry_id=guard.call.id if guard.call and guard.call.name == "retry_id" else job.retry_id,
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_a_transition_that_is_sent_again_resolves_as_applied(name: str) -> None:
    transition = EXAMPLES[name]
    before = next(state for state in STATES.values() if transition.guard.admits(state))
    resolution = resolve(transition, after(before, transition))
    assert isinstance(resolution, Applied)
    assert resolution == Applied(transition.change.status, transition.attempt_after)
    assert not resolution.is_replay


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("difference", [timedelta(milliseconds=1), -SECOND])
def test_a_change_of_an_earlier_call_is_known_by_its_time(name: str, difference: timedelta) -> None:
    """Clocks of two servers may differ, so the earlier call may have the later time."""
    before = next(state for state in STATES.values() if EXAMPLES[name].guard.admits(state))
    job = after(before, EXAMPLES[name])
    shows_nothing = name in {"release", "end_solitude", "cancel", "retry"}

    resolution = resolve(examples(NOW + difference)[name], job)

    assert isinstance(resolution, Applied)
    assert resolution.is_replay is not shows_nothing


def test_a_failure_that_was_reported_before_is_known_after_the_next_claim_too() -> None:
    job = after(after(STATES["mine"], EXAMPLES["try_again"]), claim(ID, OTHER, 2, NOW + SECOND, LEASE))
    for time, is_replay in ((NOW, False), (NOW + SECOND, True)):
        resolution = resolve(examples(time)["try_again"], job)
        assert isinstance(resolution, Applied)
        assert (resolution.status, resolution.is_replay) == (Status.QUEUED, is_replay)


@pytest.mark.parametrize("first", ["fail", "try_again"])
@pytest.mark.parametrize("second", ["fail", "try_again"])
def test_a_failure_that_is_reported_again_has_the_first_outcome(first: str, second: str) -> None:
    job = after(STATES["mine"], EXAMPLES[first])
    assert resolve(EXAMPLES[second], job) == Applied(EXAMPLES[first].change.status, 2)


def test_a_failure_that_is_reported_again_after_the_next_claim_has_the_first_outcome() -> None:
    job = after(after(STATES["mine"], EXAMPLES["try_again"]), claim(ID, OTHER, 2, NOW, LEASE))
    assert resolve(EXAMPLES["try_again"], job) == Applied(Status.QUEUED, 2)


def test_another_failure_of_the_same_attempt_is_refused() -> None:
    job = after(STATES["mine"], EXAMPLES["try_again"])
    other = try_again(ID, ME, 2, replace(FAILURE, message="other"), NOW, failures=1, wait=SECOND)
    assert isinstance(resolve(other, job), TransitionRefused)


def test_a_failure_is_recognized_by_its_shortened_message_in_the_history() -> None:
    long = replace(FAILURE, message="x" * 4096)
    job = after(STATES["mine"], try_again(ID, ME, 2, long.shortened(), NOW, failures=0, wait=SECOND))
    assert resolve(try_again(ID, ME, 2, long, NOW, failures=1, wait=SECOND), job) == Applied(Status.QUEUED, 2)


def test_a_decision_with_outdated_failures_is_sent_again_and_never_refused() -> None:
    job = replace(STATES["mine"], failures=2)
    assert resolve(EXAMPLES["try_again"], job) == Eligible()


@pytest.mark.parametrize("later", ["retry", "claim"])
def test_a_cancel_that_was_applied_has_no_effect_when_it_is_sent_again(later: str) -> None:
    job = after(after(STATES["queued"], EXAMPLES["cancel"]), EXAMPLES["retry"])
    job = after(job, EXAMPLES["claim"]) if later == "claim" else job
    assert resolve(EXAMPLES["cancel"], job) == Applied(Status.CANCELLED, None)
    assert resolve(cancel(ID, "cancel-b", "another caller", NOW), job) == Eligible()


def test_a_retry_that_was_applied_has_no_effect_when_it_is_sent_again() -> None:
    failed = after(STATES["failed"], EXAMPLES["retry"])
    failed = after(after(failed, claim(ID, ME, 2, NOW, LEASE)), fail(ID, ME, 3, FAILURE, NOW))
    assert resolve(EXAMPLES["retry"], failed) == Applied(Status.QUEUED, None)
    assert resolve(retry(ID, "retry-b", NOW), failed) == Eligible()


def test_an_expired_job_may_be_retried_with_another_expire_time() -> None:
    assert resolve(retry(ID, "retry-b", NOW, NOW + SECOND), STATES["failed_and_expired"]) == Eligible()


@pytest.mark.parametrize(("before", "allowed"), [(timedelta(milliseconds=1), True), (timedelta(0), False)])
def test_a_job_may_be_started_before_its_expire_time_but_not_at_it(before: timedelta, allowed: bool) -> None:
    job = replace(STATES["queued"], expire_time=NOW + before)
    assert EXAMPLES["claim"].guard.admits(job) is allowed
    assert EXAMPLES["claim_unfenced"].guard.admits(job) is allowed
    assert expire(ID, NOW).guard.admits(job) is not allowed


@pytest.mark.parametrize(("wait", "allowed"), [(timedelta(milliseconds=1), False), (timedelta(0), True)])
def test_an_unfenced_claim_is_allowed_from_the_next_attempt_time_on(wait: timedelta, allowed: bool) -> None:
    assert (
        EXAMPLES["claim_unfenced"].guard.admits(replace(STATES["queued"], next_attempt_time=NOW + wait))
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
def test_a_job_fails_at_the_third_loss_of_a_worker_that_held_only_this_job(
    alone: bool, lone_losses: int, status: Status
) -> None:
    lost = expire_lease(ID, ME, 2, NOW, alone=alone, lone_losses=lone_losses)
    assert (lost.change.status, lost.change.adds_loss) == (status, True)
    assert (lost.change.adds_lone_loss, lost.guard.alone) == (alone, alone)
    if status is Status.FAILED:
        assert lost.failure is not None
        assert (lost.failure.code, lost.failure.reason) == (Code.ABORTED, "POISON")


def test_the_end_of_an_unfenced_claim_counts_no_loss() -> None:
    lost = expire_lease(ID, "", 2, NOW, alone=True, lone_losses=MAX_LONE_LOSSES - 1)
    change = lost.change
    assert (change.status, change.adds_loss, change.adds_lone_loss) == (Status.QUEUED, False, False)


def test_an_unfenced_claim_is_not_confused_with_another_one() -> None:
    claimed = after(STATES["queued"], claim_unfenced(ID, "claim-b", NOW, LEASE))
    assert isinstance(resolve(EXAMPLES["claim_unfenced"], claimed), TransitionRefused)


def test_a_second_report_with_another_result_is_refused() -> None:
    done = after(STATES["mine"], complete(ID, ME, 2, {"hash": "first"}, NOW))
    refused = resolve(complete(ID, ME, 2, {"hash": "second"}, NOW), done)
    assert isinstance(refused, TransitionRefused)
    assert refused.reason == TERMINAL


def test_a_job_that_does_not_exist_is_not_found() -> None:
    assert isinstance(resolve(EXAMPLES["claim"], None), JobNotFound)


def test_every_change_sets_a_due_time_unless_the_job_has_ended() -> None:
    transitions = [
        *EXAMPLES.values(),
        expire_lease(ID, ME, 2, NOW),
        expire_lease(ID, ME, 2, NOW, alone=True, lone_losses=2),
        expire(ID, NOW),
    ]
    for change in (transition.change for transition in transitions):
        assert (change.due_time is None) is change.status.is_terminal
        assert (change.end_time is not None) is change.status.is_terminal
    assert EXAMPLES["claim"].change.due_time == NOW + LEASE


def test_only_claims_add_an_attempt() -> None:
    assert [name for name, transition in EXAMPLES.items() if transition.change.adds_attempt] == [
        "claim",
        "claim_unfenced",
    ]


def test_only_failures_of_the_handler_count_as_failures() -> None:
    counted = {name for name, transition in EXAMPLES.items() if transition.change.adds_failure}
    assert counted == {"fail", "try_again"}
    assert complete_unfenced(ID, Status.FAILED, None, FAILURE, NOW).change.adds_failure
    assert not expire(ID, NOW).change.adds_failure


def test_only_the_loss_of_a_worker_counts_as_a_loss() -> None:
    lost = {"lost": expire_lease(ID, ME, 2, NOW), "lost alone": expire_lease(ID, ME, 2, NOW, alone=True)}
    changes = {name: transition.change for name, transition in {**EXAMPLES, **lost}.items()}
    assert {name for name, change in changes.items() if change.adds_loss} == set(lost)
    assert {name for name, change in changes.items() if change.adds_lone_loss} == {"lost alone"}


def test_a_job_that_is_tried_again_waits_first() -> None:
    assert EXAMPLES["try_again"].next_attempt_time == NOW + SECOND
    assert EXAMPLES["retry"].next_attempt_time is None


# --- History ---


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("queued_again", None),
        ("mine", Outcome.RUNNING),
        ("claimed_unfenced", Outcome.RUNNING),
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


def test_a_job_that_was_cancelled_while_it_waited_has_no_attempt_in_its_history() -> None:
    assert after(STATES["queued"], EXAMPLES["cancel"]).history == ()


# --- Equal requests ---


def test_requests_are_equal_if_their_json_is_equal_in_any_order() -> None:
    one = replace(STATES["queued"], payload={"a": 1, "b": [2.5, {"c": None}]}, labels={"x": "1"})
    assert one.same_request(replace(one, payload={"b": [2.5, {"c": None}], "a": 1}, attempt=7))
    for payload in ({"a": True, "b": [2.5, {"c": None}]}, {"a": 1, "b": [2.5, {}]}, {}):
        assert not one.same_request(replace(one, payload=payload))


def test_requests_are_equal_only_with_equal_times_and_policy_except_the_expire_time() -> None:
    one = replace(STATES["queued"], schedule_time=NOW, timeout=SECOND, retry_policy=RetryPolicy(5))
    assert one.same_request(replace(one, expire_time=NOW, next_attempt_time=NOW))
    for other in (
        replace(one, schedule_time=NOW + SECOND),
        replace(one, timeout=None),
        replace(one, retry_policy=RetryPolicy(6)),
    ):
        assert not one.same_request(other)


def test_a_claim_of_another_content_is_refused_and_a_claim_that_was_applied_is_not() -> None:
    forged = claim(ID, ME, 1, NOW, LEASE, content_digest="f" * 32)
    true = claim(ID, ME, 1, NOW, LEASE, content_digest="a" * 32)
    waiting = replace(STATES["queued"], content_digest="a" * 32)
    refusal = resolve(forged, waiting)
    assert isinstance(refusal, TransitionRefused)
    assert refusal.reason == "RECORD_MISMATCH"
    assert resolve(true, waiting) == Eligible()
    assert resolve(claim(ID, ME, 1, NOW, LEASE), waiting) == Eligible()
    held = replace(STATES["mine"], content_digest="a" * 32)
    assert resolve(true, held) == Applied(Status.PROCESSING, 2)
