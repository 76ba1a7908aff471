"""The statements that are planned for transitions."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import UpdateMany, UpdateOne

from api_server.adapters.mongo.plan import MAX_BYTES, MAX_STATEMENTS, Statement, encode, plan
from api_server.domain.attempt import Failure
from api_server.domain.job import Status
from api_server.domain.transition import Transition
from api_server.domain.transitions import (
    cancel,
    claim,
    claim_unfenced,
    complete,
    complete_unfenced,
    expire_lease,
    fail,
    release,
    retry,
    try_again,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)
FAILURE = Failure(3, "no", "INVALID_INPUT")


def planned(*transitions: Transition) -> list[Statement]:
    return plan([encode(transition) for transition in transitions])


def claims(count: int, worker: str = "w/1", attempt: int = 0) -> list[Transition]:
    return [claim(uuid4(), worker, attempt, NOW, LEASE) for _ in range(count)]


def test_jobs_with_an_equal_transition_share_one_update() -> None:
    [statement] = planned(*claims(500))
    [write] = statement.writes
    assert isinstance(write, UpdateMany)
    assert len(statement.transitions) == 500


def test_a_single_transition_is_an_update_one_which_the_driver_can_retry() -> None:
    [statement] = planned(*claims(1))
    assert isinstance(statement.writes[0], UpdateOne)


def test_claims_that_expect_different_attempts_share_no_update() -> None:
    assert [len(s.transitions) for s in planned(*claims(2), *claims(3, attempt=1))] == [3, 2]


@pytest.mark.parametrize("count", [1, 500])
def test_claims_stay_plain_updates_and_completions_one_statement(count: int) -> None:
    """Retries must not make the ordinary path more expensive; see the module's docstring."""
    [claimed] = planned(*claims(count))
    assert isinstance(claimed.writes[0]._doc, dict)
    [completed] = planned(*(complete(uuid4(), "w/1", 1, {}, NOW) for _ in range(count)))
    assert len(completed.writes) == 1
    assert "history" not in str(completed.writes[0]._doc)


def test_failures_with_different_waits_share_one_update() -> None:
    steps = [try_again(uuid4(), "w/1", 1, FAILURE, NOW, failures=0, wait=n * LEASE) for n in range(100)]
    [statement] = planned(*steps)
    assert len(statement.writes) == 1


def test_results_and_failures_share_no_update() -> None:
    reports = [complete(uuid4(), "w/1", 1, {}, NOW), fail(uuid4(), "w/1", 1, FAILURE, NOW)]
    assert len(planned(*reports)) == 2


def test_beyond_four_groups_the_jobs_of_small_ones_share_a_statement_with_one_update_each() -> None:
    groups = [claims(size, worker=f"w/{size}") for size in (9, 7, 5, 3, 2, 1)]
    statements = planned(*(each for group in groups for each in group))
    assert len(statements) == MAX_STATEMENTS
    assert [len(s.writes) for s in statements] == [1, 1, 1, 6]
    assert all(isinstance(write, UpdateOne) for write in statements[-1].writes)


def test_results_above_the_bound_are_split() -> None:
    large = {"text": "x" * (MAX_BYTES // 3)}
    statements = planned(*(complete(uuid4(), "w/1", 1, large, NOW) for _ in range(5)))
    assert [len(s.transitions) for s in statements] == [2, 2, 1]


def test_user_data_is_only_inside_literals() -> None:
    results = [{"$set": "$$ROOT"}, {"a.b": "$payload"}]
    [statement] = planned(*(complete(uuid4(), "$worker", 1, result, NOW) for result in results))
    [write] = statement.writes
    outside = str(without_literals(write._doc))
    assert "ROOT" not in outside
    assert "$worker" not in outside
    assert "$payload" not in outside


def test_errors_of_failed_tries_are_only_inside_literals() -> None:
    failures = [Failure(13, message, "HANDLER_ERROR") for message in ("$$ROOT", "$payload")]
    [statement] = planned(
        *(try_again(uuid4(), "$holder", 1, each, NOW, failures=0, wait=LEASE) for each in failures)
    )
    [write] = statement.writes
    outside = str(without_literals(write._doc))
    assert not any(text in outside for text in ("ROOT", "$payload", "$holder"))


def without_literals(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_literals(inner) for key, inner in value.items() if key != "$literal"}
    if isinstance(value, list):
        return [without_literals(inner) for inner in value]
    return value


TRANSITIONS = st.sampled_from(
    [
        lambda i, n: claim(i, f"w/{n}", n, NOW, LEASE),
        lambda i, n: claim_unfenced(i, f"claim-{n}", NOW, LEASE),
        lambda i, n: complete(i, "w/1", n + 1, {"n": n}, NOW),
        lambda i, n: fail(i, "w/1", n + 1, FAILURE, NOW),
        lambda i, n: complete_unfenced(i, Status.COMPLETED, {"n": n}, None, NOW),
        lambda i, n: release(i, "w/1", n + 1, NOW),
        lambda i, n: try_again(i, "w/1", n + 1, FAILURE, NOW, failures=0, wait=n * LEASE),
        lambda i, n: expire_lease(i, "w/1", n + 1, NOW, alone=n % 2 == 0, lone_losses=n),
        lambda i, n: cancel(i, f"call-{n}", "", NOW),
        lambda i, n: retry(i, f"call-{n}", NOW),
    ]
)


@settings(max_examples=100)
@given(st.lists(st.tuples(TRANSITIONS, st.integers(0, 3)), max_size=40))
def test_every_transition_is_in_exactly_one_statement(kinds: list[tuple[Any, int]]) -> None:
    transitions = [make(UUID(int=i), n) for i, (make, n) in enumerate(kinds)]
    statements = planned(*transitions)
    sent = [each.transition.job_id for statement in statements for each in statement.transitions]
    assert sorted(sent) == [transition.job_id for transition in transitions]
    assert len(statements) <= MAX_STATEMENTS
    for statement in statements:
        named = [job_id for write in statement.writes for job_id in ids_of(write)]
        assert named == [each.transition.job_id for each in statement.transitions]


def ids_of(write: UpdateOne | UpdateMany) -> list[UUID]:
    where: Any = write._filter["_id"]
    stored = where["$in"] if isinstance(where, dict) else [where]
    return [each.as_uuid() for each in stored]
