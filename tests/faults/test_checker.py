"""The checker finds nothing in a correct history, and finds each kind of violation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker import CLAIM_SLACK, CLOCK_SLACK, RULES, check
from tests.faults.figures import figures
from tests.faults.history import History, Observation, Stopped
from tests.faults.ledger import note, read_runs
from tests.faults.lives import BEGIN, PAUSE, RUN_SECONDS, Life, history_of

EARLIER = st.lists(st.sampled_from(["lost", "handed_back", "errored"]), max_size=4)
LAST = st.sampled_from(["succeeded", "errored", "cancelled", "lost"])


@st.composite
def correct_histories(draw: st.DrawFn) -> History:
    """Some jobs, and readers that see some versions of each job in order."""
    lives = [Life(f"job-{number}", [*draw(EARLIER), draw(LAST)]) for number in range(draw(st.integers(1, 4)))]
    observations: list[Observation] = []
    for reader in range(draw(st.integers(0, 3))):
        for life in lives:
            picks = sorted(draw(st.lists(st.integers(0, len(life.versions) - 1), max_size=6)))
            observations += life.observations(f"reader {reader}", picks)
    return history_of(lives, observations)


@given(correct_histories())
def test_a_correct_history_has_no_findings(history: History) -> None:
    assert check(history) == []


def changed(entries: Sequence[Any], position: int, **fields: Any) -> list[Any]:
    """`entries` with other fields in the entry at `position`."""
    return [
        replace(entry, **fields) if index == position % len(entries) else entry
        for index, entry in enumerate(entries)
    ]


def stored_as(history: History, **fields: Any) -> History:
    """Change fields of the job in MongoDB."""
    stored = history.stored["job"]
    return replace(history, stored={"job": replace(stored, seen=replace(stored.seen, **fields))})


def with_attempt(history: History, number: int, **fields: Any) -> History:
    stored = history.stored["job"]
    attempts = tuple(changed(stored.attempts, number - 1, **fields))
    return replace(history, stored={"job": replace(stored, attempts=attempts)})


def with_requested(history: History, **fields: Any) -> History:
    return replace(history, requested={"job": replace(history.requested["job"], **fields)})


def with_run(history: History, attempt: int, **fields: Any) -> History:
    return replace(history, runs=changed(history.runs, attempt - 1, **fields))


def observed_again(history: History, position: int, **fields: Any) -> History:
    """Add an observation: a copy of an earlier one with changed fields."""
    again = history.observations[position]
    again = replace(again, seen=replace(again.seen, **fields))
    return replace(history, observations=[*history.observations, again])


WRONG: dict[str, tuple[list[str], Callable[[History], History], str]] = {
    # For each violation: the outcomes of the job's attempts, the change of the history, and the rule that
    # must find it.
    "an acknowledged job is not stored": (
        ["succeeded"],
        lambda h: replace(h, stored={}, observations=[], runs=[]),
        "lost",
    ),
    "a job was never ended": (
        ["lost", "succeeded"],
        lambda h: replace(stored_as(h, status="processing", result=None, revision=4), observations=[]),
        "not_ended",
    ),
    "a job failed that should have completed": (
        ["succeeded"],
        lambda h: replace(
            stored_as(h, status="failed", result=None, reason="HANDLER_ERROR"), observations=[]
        ),
        "wrong_ending",
    ),
    "a job completed that should have failed": (
        ["errored"],
        lambda h: replace(stored_as(h, status="completed", reason=""), observations=[]),
        "wrong_ending",
    ),
    "a job that crashes no worker failed as poison": (
        ["succeeded"],
        lambda h: replace(stored_as(h, status="failed", result=None, reason="POISON"), observations=[]),
        "poisoned_neighbour",
    ),
    "the result is that of a superseded attempt": (
        ["lost", "succeeded"],
        lambda h: replace(
            with_run(stored_as(h, result='{"run": "run 1 of job"}'), 1, ending="returned"), observations=[]
        ),
        "wrong_result",
    ),
    "the result is that of an attempt that MongoDB does not name": (
        ["succeeded"],
        lambda h: replace(stored_as(h, worker_id="another/incarnation"), observations=[]),
        "wrong_result",
    ),
    "the result is another job's": (
        ["succeeded"],
        lambda h: with_run(h, 1, job_id="other"),
        "wrong_result",
    ),
    "the result is of no run": (
        ["succeeded"],
        lambda h: replace(stored_as(h, result='{"run": "unknown"}'), observations=[]),
        "wrong_result",
    ),
    "the result is that of a run that raised": (
        ["succeeded"],
        lambda h: with_run(h, 1, ending="raised"),
        "wrong_result",
    ),
    "a failed job has a result": (
        ["errored"],
        lambda h: replace(stored_as(h, result='{"run": "run 1 of job"}'), observations=[]),
        "wrong_result",
    ),
    "two results were recorded": (
        ["succeeded"],
        lambda h: observed_again(h, -1, result='{"run": "another"}'),
        "two_results",
    ),
    "a revision went backwards for one reader": (
        ["succeeded"],
        lambda h: observed_again(h, 0),
        "revision_backwards",
    ),
    "one revision had two contents": (
        ["succeeded"],
        lambda h: observed_again(h, -1, worker_id="another/incarnation"),
        "changed_afterwards",
    ),
    "a version that was seen is lost": (
        ["lost", "succeeded"],
        lambda h: observed_again(h, -1, revision=9),
        "changed_afterwards",
    ),
    "a final job changed": (
        ["cancelled"],
        lambda h: observed_again(stored_as(h, revision=9), -1, revision=9),
        "changed_afterwards",
    ),
    "one attempt ran twice": (
        ["succeeded"],
        lambda h: replace(h, runs=[*h.runs, replace(h.runs[0], run_id="again")]),
        "rerun",
    ),
    "an attempt ran that was not claimed": (
        ["succeeded"],
        lambda h: replace(h, runs=[*h.runs, replace(h.runs[0], attempt=2, run_id="again")]),
        "rerun",
    ),
    "a worker was lost without a fault": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=[]),
        "rerun",
    ),
    "a worker was lost by a fault of another worker": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=changed(h.faults, 0, part="another")),
        "rerun",
    ),
    "a worker was lost before its fault": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=changed(h.faults, 0, at=BEGIN + 99, healed=BEGIN + 99)),
        "rerun",
    ),
    "a worker was lost that was only stopped": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=changed(h.faults, 0, kind="stopped")),
        "rerun",
    ),
    "a job was released by a worker that was not stopped": (
        ["handed_back", "succeeded"],
        lambda h: replace(h, faults=[]),
        "rerun",
    ),
    "a job that must not fail was retried": (
        ["errored", "succeeded"],
        lambda h: with_requested(h, may_error=False),
        "rerun",
    ),
    "an attempt is missing from the history": (
        ["lost", "lost", "succeeded"],
        lambda h: replace(h, stored={"job": replace(h.stored["job"], attempts=h.stored["job"].attempts[1:])}),
        "rerun",
    ),
    "a job that was released still ran during the next attempt": (
        ["handed_back", "succeeded"],
        lambda h: with_run(h, 1, end=BEGIN + RUN_SECONDS + PAUSE + 0.1),
        "ran_on",
    ),
    "a cancelled job completed": (
        ["succeeded"],
        lambda h: with_requested(h, cancelled=h.observations[1].seen),
        "cancelled_ran",
    ),
    "a cancelled job ran afterwards": (
        ["cancelled"],
        lambda h: with_requested(h, cancelled=replace(h.observations[-1].seen, attempt=0)),
        "cancelled_ran",
    ),
    "a scheduled job started before its time": (
        ["succeeded"],
        lambda h: with_requested(h, schedule_time=BEGIN + CLOCK_SLACK + 0.001),
        "too_early",
    ),
    "a job started after its time": (
        ["succeeded"],
        lambda h: with_requested(h, expire_time=BEGIN - CLOCK_SLACK),
        "too_late",
    ),
    "a job did not wait after a failure": (
        ["errored", "succeeded"],
        lambda h: with_attempt(h, 2, start=BEGIN + RUN_SECONDS + PAUSE - CLOCK_SLACK - 0.001),
        "too_early",
    ),
    "a job was claimed while all workers were stopped": (
        ["succeeded"],
        lambda h: replace(h, stops=[Stopped(BEGIN - 0.001, BEGIN + 0.001)]),
        "ran_while_stopped",
    ),
    "a job was claimed by a stopped worker": (
        ["succeeded"],
        lambda h: replace(h, stops=[Stopped(BEGIN - 0.001, BEGIN + 0.001, worker="job-1")]),
        "ran_while_stopped",
    ),
    "a job of a stopped type was claimed": (
        ["succeeded"],
        lambda h: replace(h, stops=[Stopped(BEGIN - 0.001, BEGIN + 0.001, type="type")]),
        "ran_while_stopped",
    ),
    "a job had too many attempts": (
        ["errored", "errored", "errored"],
        lambda h: with_requested(h, max_attempts=2),
        "too_many_attempts",
    ),
    "a client got a wrong answer": (
        ["succeeded"],
        lambda h: replace(h, troubles=["Get answered INTERNAL"]),
        "trouble",
    ),
}


@pytest.mark.parametrize("violation", WRONG)
def test_each_violation_is_found(violation: str) -> None:
    outcomes, spoil, rule = WRONG[violation]
    life = Life("job", outcomes)
    correct = history_of([life], life.observations("reader"))
    assert check(correct) == []
    findings = check(spoil(correct))
    assert rule in {finding.rule for finding in findings}, findings


def test_there_is_a_violation_of_every_rule() -> None:
    assert {rule for _, _, rule in WRONG.values()} == set(RULES)


@given(correct_histories(), st.data())
def test_a_lost_job_is_found_among_others(history: History, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(history.stored)))
    stored = {job_id: job for job_id, job in history.stored.items() if job_id != gone}
    assert ("lost", gone) in {(found.rule, found.job_id) for found in check(replace(history, stored=stored))}


@given(correct_histories(), st.data())
def test_a_second_run_of_an_attempt_is_found_among_others(history: History, data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(history.runs))
    runs = [*history.runs, replace(again, run_id="again")]
    assert {(found.rule, found.job_id) for found in check(replace(history, runs=runs))} == {
        ("rerun", again.job_id)
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda h: with_requested(h, schedule_time=BEGIN + CLOCK_SLACK - 0.001),
        lambda h: with_attempt(h, 2, start=BEGIN + RUN_SECONDS + PAUSE - CLOCK_SLACK + 0.001),
        lambda h: with_requested(h, expire_time=BEGIN + RUN_SECONDS + PAUSE - CLOCK_SLACK + 0.001),
        lambda h: with_requested(h, acknowledged=False),
        lambda h: with_requested(h, max_attempts=1),
        lambda h: replace(h, stops=[Stopped(BEGIN, BEGIN + 1)]),
        lambda h: replace(h, stops=[Stopped(BEGIN - 1, BEGIN)]),
        lambda h: replace(h, stops=[Stopped(BEGIN - 1, BEGIN + 1, worker="another")]),
        lambda h: replace(h, stops=[Stopped(BEGIN - 1, BEGIN + 1, type="another")]),
    ],
)
def test_what_is_allowed_is_not_found(change: Callable[[History], History]) -> None:
    life = Life("job", ["errored", "succeeded"])
    assert check(change(history_of([life], life.observations("reader")))) == []


def test_a_worker_may_be_lost_shortly_before_its_fault_is_recorded() -> None:
    life = Life("job", ["lost", "succeeded"])
    correct = history_of([life], life.observations("reader"))
    latest = BEGIN + RUN_SECONDS + CLAIM_SLACK
    in_time = changed(correct.faults, 0, at=latest - 0.001, healed=BEGIN + 9)
    assert check(replace(correct, faults=in_time)) == []
    too_late = changed(correct.faults, 0, at=latest + 0.001, healed=BEGIN + 9)
    assert [finding.rule for finding in check(replace(correct, faults=too_late))] == ["rerun"]


def test_a_job_that_was_not_acknowledged_may_be_missing() -> None:
    life = Life("job", ["succeeded"])
    history = with_requested(history_of([life], []), acknowledged=False)
    assert check(replace(history, stored={}, runs=[])) == []


def test_figures_count_the_endings_of_the_jobs() -> None:
    lives = [
        Life("completed", ["lost", "handed_back", "succeeded"]),
        Life("failed", ["errored"]),
        Life("cancelled", ["cancelled"]),
        Life("gone", ["succeeded"]),
    ]
    history = history_of(lives, [])
    stored = {job_id: job for job_id, job in history.stored.items() if job_id != "gone"}
    counted = figures(replace(history, stored=stored))
    assert (counted.acknowledged, counted.completed, counted.failed, counted.cancelled) == (4, 1, 1, 1)
    assert (counted.lost, counted.duplicates) == (1, 2)


def test_recovery_is_counted_from_the_end_of_the_fault() -> None:
    life = Life("job", ["lost", "succeeded"])
    history = with_requested(history_of([life], []), schedule_time=None)
    # The kill is 0.5 s before the end of the lease, and the next attempt starts PAUSE after that end.
    assert figures(history).recovery == pytest.approx(PAUSE + 0.5)
    (kill,) = history.faults
    healed = replace(history, faults=[replace(kill, healed=kill.at + 1.2)])
    # The job also waited 1 s for its first attempt.
    assert figures(healed).recovery == pytest.approx(1.0)


def test_the_ledger_keeps_runs_without_an_end(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    note(str(ledger), job="a", attempt=1, worker="worker-1", run_id="x")
    note(str(ledger), job="b", attempt=2, worker="worker-2", run_id="y")
    note(str(ledger), run_id="x", ending="returned")
    ended, killed = read_runs(ledger)
    assert (ended.job_id, ended.attempt, ended.worker, ended.ending) == ("a", 1, "worker-1", "returned")
    assert (ended.end or 0) >= ended.start
    assert (killed.job_id, killed.attempt, killed.end, killed.ending) == ("b", 2, None, None)
    assert read_runs(tmp_path / "none") == []
