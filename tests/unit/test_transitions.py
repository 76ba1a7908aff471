"""Who may change a job, and when: every step against every state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api_server.domain.errors import JobNotFound, TransitionRefused
from api_server.domain.job import Failure, Job, Status
from api_server.domain.transitions import (
    TRANSITIONS,
    Transition,
    Verdict,
    claim,
    complete,
    conclude,
    fail,
    hand_back,
    judge,
    lapse,
    take,
)

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)
FAILURE = Failure(13, "broken", "HANDLER_ERROR")
ME, OTHER = "me/1", "other/1"

STEPS: dict[str, Transition] = {
    "claim": claim(ID, ME, 1, NOW, LEASE),
    "take": take(ID, "claim-a", NOW, LEASE),
    "complete": complete(ID, ME, 2, {"hash": "x"}, NOW),
    "fail": fail(ID, ME, 2, FAILURE, NOW),
    "hand_back": hand_back(ID, ME, 2, NOW),
    "conclude": conclude(ID, Status.COMPLETED, {"hash": "x"}, None, NOW),
}


def job(status: Status, attempt: int, worker_id: str = "") -> Job:
    return Job(ID, "compute", status, {}, NOW, NOW, attempt=attempt, worker_id=worker_id)


STATES: dict[str, Job] = {
    "queued": job(Status.QUEUED, 1),
    "queued_again": job(Status.QUEUED, 2),
    "mine": job(Status.PROCESSING, 2, ME),
    "anothers": job(Status.PROCESSING, 2, OTHER),
    "mine_later": job(Status.PROCESSING, 3, ME),
    "taken_without_worker": replace(job(Status.PROCESSING, 2), claim_id="claim-b"),
    "completed_by_me": replace(job(Status.COMPLETED, 2, ME), result={"hash": "other"}),
    "completed_by_another": replace(job(Status.COMPLETED, 3, OTHER), result={"hash": "x"}),
    "failed": replace(job(Status.FAILED, 2, ME), failure=Failure(13, "other", "HANDLER_ERROR")),
    "cancelled": job(Status.CANCELLED, 2, ME),
}

OK = "ok"
TERMINAL, SUPERSEDED = "JOB_TERMINAL", "ATTEMPT_SUPERSEDED"
HELD, ILLEGAL = "HELD_BY_WORKER", "ILLEGAL_TRANSITION"
COLUMNS = ["claim", "take", "complete", "fail", "hand_back", "conclude"]
TABLE: dict[str, list[str | Verdict]] = {
    "queued": [OK, OK, SUPERSEDED, SUPERSEDED, SUPERSEDED, ILLEGAL],
    # A hand-back that was sent twice, or came after the lease had lapsed, has what it wanted.
    "queued_again": [SUPERSEDED, OK, SUPERSEDED, SUPERSEDED, Verdict.TAKEN, ILLEGAL],
    "mine": [Verdict.TAKEN, HELD, OK, OK, OK, HELD],
    "anothers": [HELD, HELD, HELD, HELD, HELD, HELD],
    "mine_later": [SUPERSEDED, HELD, SUPERSEDED, SUPERSEDED, SUPERSEDED, HELD],
    "taken_without_worker": [SUPERSEDED, ILLEGAL, SUPERSEDED, SUPERSEDED, SUPERSEDED, OK],
    "completed_by_me": [TERMINAL, TERMINAL, TERMINAL, TERMINAL, TERMINAL, TERMINAL],
    "completed_by_another": [SUPERSEDED, TERMINAL, SUPERSEDED, SUPERSEDED, SUPERSEDED, TERMINAL],
    "failed": [TERMINAL, TERMINAL, TERMINAL, TERMINAL, TERMINAL, TERMINAL],
    "cancelled": [TERMINAL, TERMINAL, TERMINAL, TERMINAL, TERMINAL, TERMINAL],
}
CASES = [
    (state, step, expected)
    for state, row in TABLE.items()
    for step, expected in zip(COLUMNS, row, strict=True)
]


@pytest.mark.parametrize(("state", "step", "expected"), CASES)
def test_each_step_meets_each_state_as_the_table_says(state: str, step: str, expected: str | Verdict) -> None:
    job, transition = STATES[state], STEPS[step]
    assert transition.guard.admits(job) is (expected == OK)
    verdict = judge(transition, job)
    if isinstance(verdict, TransitionRefused):
        assert verdict.reason == expected
        assert verdict.metadata == {
            "id": str(ID),
            "status": job.status.value,
            "attempt": str(job.attempt),
        }
    else:
        assert verdict is (Verdict.ELIGIBLE if expected == OK else expected)


@pytest.mark.parametrize(("state", "step"), [case[:2] for case in CASES if case[2] == OK])
def test_an_admitted_step_is_one_that_the_map_of_transitions_has(state: str, step: str) -> None:
    assert STEPS[step].change.status in TRANSITIONS[STATES[state].status]


def test_terminal_states_lead_nowhere() -> None:
    assert [status for status in Status if not TRANSITIONS[status]] == [s for s in Status if s.is_terminal]


def after(job: Job, step: Transition) -> Job:
    change = step.change
    return replace(
        job,
        status=change.status,
        worker_id=change.worker_id,
        attempt=job.attempt + change.adds_attempt,
        result=step.result,
        failure=step.failure,
        claim_id=step.claim_id or job.claim_id,
    )


@pytest.mark.parametrize("step", COLUMNS)
def test_a_step_sent_again_after_it_was_taken_is_known_as_taken(step: str) -> None:
    transition = STEPS[step]
    before = next(state for state in STATES.values() if transition.guard.admits(state))
    assert judge(transition, after(before, transition)) is Verdict.TAKEN


def test_a_claim_without_worker_is_not_mistaken_for_another_one() -> None:
    taken = after(STATES["queued"], take(ID, "claim-b", NOW, LEASE))
    assert isinstance(judge(STEPS["take"], taken), TransitionRefused)


def test_a_second_report_with_another_result_is_refused() -> None:
    done = after(STATES["mine"], complete(ID, ME, 2, {"hash": "first"}, NOW))
    refused = judge(complete(ID, ME, 2, {"hash": "second"}, NOW), done)
    assert isinstance(refused, TransitionRefused)
    assert refused.reason == TERMINAL


def test_a_job_that_is_not_there_is_not_found() -> None:
    assert isinstance(judge(STEPS["claim"], None), JobNotFound)


def test_every_change_says_when_the_job_is_looked_at_again_unless_it_has_ended() -> None:
    changes = [step.change for step in STEPS.values()] + [lapse(NOW)[1]]
    assert all((change.due_time is None) is change.status.is_terminal for change in changes)
    assert STEPS["claim"].change.due_time == NOW + LEASE


def test_only_claims_add_an_attempt() -> None:
    assert [name for name, step in STEPS.items() if step.change.adds_attempt] == ["claim", "take"]


def test_the_same_request_is_the_same_json_in_whatever_order() -> None:
    one = replace(STATES["queued"], payload={"a": 1, "b": [2.5, {"c": None}]}, labels={"x": "1"})
    assert one.same_request(replace(one, payload={"b": [2.5, {"c": None}], "a": 1}, attempt=7))
    for payload in ({"a": True, "b": [2.5, {"c": None}]}, {"a": 1, "b": [2.5, {}]}, {}):
        assert not one.same_request(replace(one, payload=payload))
