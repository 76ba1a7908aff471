"""Each kind of status update becomes one transition."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api_server.domain import transitions
from api_server.domain.attempt import Failure
from api_server.domain.job import Status
from api_server.domain.retry import FailureHint, RetryPolicy, Tries, wait_before_next_try
from api_server.domain.status_update import (
    UNEXPLAINED,
    Claim,
    Leases,
    StatusUpdate,
    Token,
    UpdateContext,
    to_transition,
)
from api_server.domain.transition import Transition

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASES = Leases(worker=timedelta(seconds=15), unfenced=timedelta(hours=1))
TRIES = Tries(1, RetryPolicy(3, timedelta(seconds=1), timedelta(seconds=9), 2, 0.2))
GIVEN = UpdateContext(NOW, LEASES, claim_id="claim-a", tries=TRIES, chance=0.75)
CLAIM, ALONE, TOKEN = Claim("w/1", 3, "compute"), Claim("w/1", 3, None, alone=True), Token("w/1", 4)
FAILURE = Failure(13, "broken", "HANDLER_ERROR")
WAIT = wait_before_next_try(TRIES, FailureHint(), 0.75)
assert WAIT is not None

CASES: dict[str, tuple[StatusUpdate, Transition]] = {
    "a claim": (
        StatusUpdate(ID, Status.PROCESSING, CLAIM),
        transitions.claim(ID, "w/1", 3, NOW, LEASES.worker, "compute"),
    ),
    "a claim of a worker that holds nothing else": (
        StatusUpdate(ID, Status.PROCESSING, ALONE),
        transitions.claim(ID, "w/1", 3, NOW, LEASES.worker, None, alone=True),
    ),
    "the end of solitude": (
        StatusUpdate(ID, Status.PROCESSING, TOKEN),
        transitions.end_solitude(ID, "w/1", 4, NOW, LEASES.worker),
    ),
    "an unfenced claim": (
        StatusUpdate(ID, Status.PROCESSING),
        transitions.claim_unfenced(ID, "claim-a", NOW, LEASES.unfenced),
    ),
    "a result": (
        StatusUpdate(ID, Status.COMPLETED, TOKEN, {"n": 1}),
        transitions.complete(ID, "w/1", 4, {"n": 1}, NOW),
    ),
    "no result": (
        StatusUpdate(ID, Status.COMPLETED, TOKEN),
        transitions.complete(ID, "w/1", 4, {}, NOW),
    ),
    "a failure before the last try": (
        StatusUpdate(ID, Status.FAILED, TOKEN, failure=FAILURE),
        transitions.try_again(ID, "w/1", 4, FAILURE, NOW, 1, WAIT),
    ),
    "a permanent failure": (
        StatusUpdate(ID, Status.FAILED, TOKEN, failure=FAILURE, hint=FailureHint(permanent=True)),
        transitions.fail(ID, "w/1", 4, FAILURE, NOW),
    ),
    "a release": (
        StatusUpdate(ID, Status.QUEUED, TOKEN),
        transitions.release(ID, "w/1", 4, NOW),
    ),
    "an unfenced result": (
        StatusUpdate(ID, Status.COMPLETED, None, {"n": 1}),
        transitions.complete_unfenced(ID, Status.COMPLETED, {"n": 1}, None, NOW),
    ),
    "an unfenced failure without an error": (
        StatusUpdate(ID, Status.FAILED),
        transitions.complete_unfenced(ID, Status.FAILED, None, UNEXPLAINED, NOW),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_of_update_becomes_its_transition(kind: str) -> None:
    update, transition = CASES[kind]
    assert to_transition(update, GIVEN) == transition


def test_a_failure_of_the_last_try_ends_the_job() -> None:
    given = UpdateContext(NOW, LEASES, tries=Tries(2, TRIES.policy))
    update = StatusUpdate(ID, Status.FAILED, TOKEN, failure=FAILURE)
    assert to_transition(update, given) == transitions.fail(ID, "w/1", 4, FAILURE, NOW, 2)


def test_only_a_worker_s_claim_is_a_claim_and_only_a_claim_without_a_guard_is_unfenced() -> None:
    updates = {kind: update for kind, (update, _) in CASES.items()}
    claims = {kind: update.claim for kind, update in updates.items() if update.claim is not None}
    assert claims == {"a claim": CLAIM, "a claim of a worker that holds nothing else": ALONE}
    assert [kind for kind, update in updates.items() if update.is_unfenced_claim] == ["an unfenced claim"]


def test_sizes_do_not_make_updates_different() -> None:
    assert StatusUpdate(ID, Status.COMPLETED, result_size=1) == StatusUpdate(ID, Status.COMPLETED)
