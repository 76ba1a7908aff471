"""The checker says nothing of a right history, and finds each way in which one can be wrong."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker import CLAIM_SLACK, CLOCK_SLACK, RULES, check
from tests.faults.figures import figures
from tests.faults.history import History, Stopped, Told
from tests.faults.ledger import note, read_runs
from tests.faults.lives import BEGIN, PAUSE, RUN_SECONDS, Life, history_of

EARLIER = st.lists(st.sampled_from(["lost", "handed_back", "errored"]), max_size=4)
LAST = st.sampled_from(["succeeded", "errored", "cancelled", "lost"])


@st.composite
def right_histories(draw: st.DrawFn) -> History:
    """Some jobs, and readers who look at them in turn, each of them now and then, never back in time."""
    lives = [Life(f"job-{number}", [*draw(EARLIER), draw(LAST)]) for number in range(draw(st.integers(1, 4)))]
    told: list[Told] = []
    for reader in range(draw(st.integers(0, 3))):
        for life in lives:
            picks = sorted(draw(st.lists(st.integers(0, len(life.versions) - 1), max_size=6)))
            told += life.told(f"reader {reader}", picks)
    return history_of(lives, told)


@given(right_histories())
def test_a_right_history_has_no_findings(history: History) -> None:
    assert check(history) == []


def changed(entries: Sequence[Any], place: int, **fields: Any) -> list[Any]:
    """`entries`, the one at `place` with other fields."""
    return [
        replace(entry, **fields) if index == place % len(entries) else entry
        for index, entry in enumerate(entries)
    ]


def stored_as(history: History, **fields: Any) -> History:
    """With other words of the job that the API showed and MongoDB has."""
    stored = history.stored["job"]
    return replace(history, stored={"job": replace(stored, seen=replace(stored.seen, **fields))})


def with_attempt(history: History, number: int, **fields: Any) -> History:
    stored = history.stored["job"]
    attempts = tuple(changed(stored.attempts, number - 1, **fields))
    return replace(history, stored={"job": replace(stored, attempts=attempts)})


def with_asked(history: History, **fields: Any) -> History:
    return replace(history, asked={"job": replace(history.asked["job"], **fields)})


def with_run(history: History, attempt: int, **fields: Any) -> History:
    return replace(history, runs=changed(history.runs, attempt - 1, **fields))


def told_again(history: History, place: int, **fields: Any) -> History:
    """One more answer, made of an earlier one."""
    told = history.told[place]
    return replace(history, told=[*history.told, replace(told, seen=replace(told.seen, **fields))])


WRONG: dict[str, tuple[list[str], Callable[[History], History], str]] = {
    # What is wrong: the outcomes of a job's attempts, what is done to its history, and the rule that must say so.
    "an acknowledged job is not there": (
        ["succeeded"],
        lambda h: replace(h, stored={}, told=[], runs=[]),
        "lost",
    ),
    "a job was never ended": (
        ["lost", "succeeded"],
        lambda h: replace(stored_as(h, status="processing", result=None, revision=4), told=[]),
        "not_ended",
    ),
    "a job failed that should have completed": (
        ["succeeded"],
        lambda h: replace(stored_as(h, status="failed", result=None, reason="HANDLER_ERROR"), told=[]),
        "wrong_ending",
    ),
    "a job completed that should have failed": (
        ["errored"],
        lambda h: replace(stored_as(h, status="completed", reason=""), told=[]),
        "wrong_ending",
    ),
    "a neighbour was failed as poison": (
        ["succeeded"],
        lambda h: replace(stored_as(h, status="failed", result=None, reason="POISON"), told=[]),
        "poisoned_neighbour",
    ),
    "the result is that of a superseded attempt": (
        ["lost", "succeeded"],
        lambda h: replace(
            with_run(stored_as(h, result='{"run": "run 1 of job"}'), 1, ending="returned"), told=[]
        ),
        "wrong_result",
    ),
    "the result is that of an attempt that MongoDB does not name": (
        ["succeeded"],
        lambda h: replace(stored_as(h, worker_id="another/incarnation"), told=[]),
        "wrong_result",
    ),
    "the result is another job's": (
        ["succeeded"],
        lambda h: with_run(h, 1, job_id="other"),
        "wrong_result",
    ),
    "the result is nobody's": (
        ["succeeded"],
        lambda h: replace(stored_as(h, result='{"run": "unknown"}'), told=[]),
        "wrong_result",
    ),
    "the result is that of a run that raised": (
        ["succeeded"],
        lambda h: with_run(h, 1, ending="raised"),
        "wrong_result",
    ),
    "a failed job has a result": (
        ["errored"],
        lambda h: replace(stored_as(h, result='{"run": "run 1 of job"}'), told=[]),
        "wrong_result",
    ),
    "two results were recorded": (
        ["succeeded"],
        lambda h: told_again(h, -1, result='{"run": "another"}'),
        "two_results",
    ),
    "a revision went backwards for one reader": (
        ["succeeded"],
        lambda h: told_again(h, 0),
        "revision_backwards",
    ),
    "one revision had two contents": (
        ["succeeded"],
        lambda h: told_again(h, -1, worker_id="another/incarnation"),
        "taken_back",
    ),
    "a version that was seen is lost": (
        ["lost", "succeeded"],
        lambda h: told_again(h, -1, revision=9),
        "taken_back",
    ),
    "a final job changed": (
        ["cancelled"],
        lambda h: told_again(stored_as(h, revision=9), -1, revision=9),
        "taken_back",
    ),
    "one attempt ran twice": (
        ["succeeded"],
        lambda h: replace(h, runs=[*h.runs, replace(h.runs[0], run_id="again")]),
        "rerun",
    ),
    "an attempt ran that nobody had claimed": (
        ["succeeded"],
        lambda h: replace(h, runs=[*h.runs, replace(h.runs[0], attempt=2, run_id="again")]),
        "rerun",
    ),
    "a worker was lost that nobody had harmed": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=[]),
        "rerun",
    ),
    "a worker was lost when only another one was harmed": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=changed(h.faults, 0, part="another")),
        "rerun",
    ),
    "a worker was lost before it was harmed": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=changed(h.faults, 0, at=BEGIN + 99, healed=BEGIN + 99)),
        "rerun",
    ),
    "a worker was lost that was only told to end": (
        ["lost", "succeeded"],
        lambda h: replace(h, faults=changed(h.faults, 0, kind="stopped")),
        "rerun",
    ),
    "a job was handed back by a worker that was not told to end": (
        ["handed_back", "succeeded"],
        lambda h: replace(h, faults=[]),
        "rerun",
    ),
    "a job was tried again that was not to fail": (
        ["errored", "succeeded"],
        lambda h: with_asked(h, may_error=False),
        "rerun",
    ),
    "an attempt is missing from the history": (
        ["lost", "lost", "succeeded"],
        lambda h: replace(h, stored={"job": replace(h.stored["job"], attempts=h.stored["job"].attempts[1:])}),
        "rerun",
    ),
    "a job that was handed back ran on beside the next attempt": (
        ["handed_back", "succeeded"],
        lambda h: with_run(h, 1, end=BEGIN + RUN_SECONDS + PAUSE + 0.1),
        "ran_on",
    ),
    "a cancelled job completed": (
        ["succeeded"],
        lambda h: with_asked(h, cancelled=h.told[1].seen),
        "cancelled_ran",
    ),
    "a cancelled job ran afterwards": (
        ["cancelled"],
        lambda h: with_asked(h, cancelled=replace(h.told[-1].seen, attempt=0)),
        "cancelled_ran",
    ),
    "a scheduled job started before its time": (
        ["succeeded"],
        lambda h: with_asked(h, schedule_time=BEGIN + CLOCK_SLACK + 0.001),
        "too_early",
    ),
    "a job started after its time": (
        ["succeeded"],
        lambda h: with_asked(h, expire_time=BEGIN - CLOCK_SLACK),
        "too_late",
    ),
    "a job did not wait after a failure": (
        ["errored", "succeeded"],
        lambda h: with_attempt(h, 2, start=BEGIN + RUN_SECONDS + PAUSE - CLOCK_SLACK - 0.001),
        "too_early",
    ),
    "a job was taken although all were stopped": (
        ["succeeded"],
        lambda h: replace(h, stops=[Stopped(BEGIN - 0.001, BEGIN + 0.001)]),
        "ran_while_stopped",
    ),
    "a job was taken by a worker that was stopped": (
        ["succeeded"],
        lambda h: replace(h, stops=[Stopped(BEGIN - 0.001, BEGIN + 0.001, worker="job-1")]),
        "ran_while_stopped",
    ),
    "a job of a type was taken that was stopped": (
        ["succeeded"],
        lambda h: replace(h, stops=[Stopped(BEGIN - 0.001, BEGIN + 0.001, type="type")]),
        "ran_while_stopped",
    ),
    "a job was tried too often": (
        ["errored", "errored", "errored"],
        lambda h: with_asked(h, max_attempts=2),
        "too_many_tries",
    ),
    "a client got an answer that it never should": (
        ["succeeded"],
        lambda h: replace(h, troubles=["Get answered INTERNAL"]),
        "trouble",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(what: str) -> None:
    outcomes, spoil, rule = WRONG[what]
    life = Life("job", outcomes)
    right = history_of([life], life.told("reader"))
    assert check(right) == []
    findings = check(spoil(right))
    assert rule in {finding.rule for finding in findings}, findings


def test_every_rule_has_been_seen_to_find_something() -> None:
    assert {rule for _, _, rule in WRONG.values()} == set(RULES)


@given(right_histories(), st.data())
def test_a_job_that_vanishes_is_found_among_others(history: History, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(history.stored)))
    stored = {job_id: job for job_id, job in history.stored.items() if job_id != gone}
    assert ("lost", gone) in {(found.rule, found.job_id) for found in check(replace(history, stored=stored))}


@given(right_histories(), st.data())
def test_a_run_of_an_attempt_that_ran_already_is_found_among_others(
    history: History, data: st.DataObject
) -> None:
    again = data.draw(st.sampled_from(history.runs))
    runs = [*history.runs, replace(again, run_id="again")]
    assert {(found.rule, found.job_id) for found in check(replace(history, runs=runs))} == {
        ("rerun", again.job_id)
    }


@pytest.mark.parametrize(
    "slackened",
    [
        lambda h: with_asked(h, schedule_time=BEGIN + CLOCK_SLACK - 0.001),
        lambda h: with_attempt(h, 2, start=BEGIN + RUN_SECONDS + PAUSE - CLOCK_SLACK + 0.001),
        lambda h: with_asked(h, expire_time=BEGIN + RUN_SECONDS + PAUSE - CLOCK_SLACK + 0.001),
        lambda h: with_asked(h, acknowledged=False),
        lambda h: with_asked(h, max_attempts=1),
        lambda h: replace(h, stops=[Stopped(BEGIN, BEGIN + 1)]),
        lambda h: replace(h, stops=[Stopped(BEGIN - 1, BEGIN)]),
        lambda h: replace(h, stops=[Stopped(BEGIN - 1, BEGIN + 1, worker="another")]),
        lambda h: replace(h, stops=[Stopped(BEGIN - 1, BEGIN + 1, type="another")]),
        lambda h: replace(
            h, faults=changed(h.faults, 0, at=BEGIN + RUN_SECONDS + CLAIM_SLACK - 0.001, healed=BEGIN + 9)
        ),
    ],
)
def test_what_is_allowed_is_not_found(slackened: Callable[[History], History]) -> None:
    life = Life("job", ["errored", "succeeded"])
    lost = Life("lost", ["lost", "succeeded"])
    right = history_of([life], life.told("reader"))
    right = replace(right, faults=lost.faults)
    assert check(slackened(right)) == []


def test_a_job_that_was_not_acknowledged_need_not_be_there() -> None:
    life = Life("job", ["succeeded"])
    history = with_asked(history_of([life], []), acknowledged=False)
    assert check(replace(history, stored={}, runs=[])) == []


def test_figures_count_what_became_of_the_jobs() -> None:
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
    history = with_asked(history_of([life], []), schedule_time=None)
    # The kill is half a second before the lease ends, which is PAUSE before the next attempt.
    assert figures(history).recovery == pytest.approx(PAUSE + 0.5)
    (kill,) = history.faults
    healed = replace(history, faults=[replace(kill, healed=kill.at + 1.2)])
    # It waited a second for its first attempt, too.
    assert figures(healed).recovery == pytest.approx(1.0)


def test_the_ledger_keeps_runs_whose_end_nobody_saw(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    note(str(ledger), job="a", attempt=1, worker="worker-1", run_id="x")
    note(str(ledger), job="b", attempt=2, worker="worker-2", run_id="y")
    note(str(ledger), run_id="x", ending="returned")
    ended, killed = read_runs(ledger)
    assert (ended.job_id, ended.attempt, ended.worker, ended.ending) == ("a", 1, "worker-1", "returned")
    assert (ended.end or 0) >= ended.start
    assert (killed.job_id, killed.attempt, killed.end, killed.ending) == ("b", 2, None, None)
    assert read_runs(tmp_path / "none") == []
