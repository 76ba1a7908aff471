"""Holds a history against what the system promises. Pure; each rule is a function that yields what breaks it."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.faults.history import Attempt, Fault, History, Seen

CLOCK_SLACK = 0.25
"""Seconds by which two API servers' notions of the database's time may differ."""
CLAIM_SLACK = 1.0
"""Seconds between the moment that a claim names as its start and the worker's hearing of it, and the like."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was broken: the rule's name, and what shows it."""

    rule: str
    job_id: str
    words: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.job_id} {self.words}".replace("  ", " ")


Rule = Callable[[History], Iterator[tuple[str, str]]]


def check(history: History) -> list[Finding]:
    """All that is wrong, rule by rule."""
    return [Finding(name, job_id, words) for name, rule in RULES.items() for job_id, words in rule(history)]


def lost(history: History) -> Iterator[tuple[str, str]]:
    for asked in history.asked.values():
        if asked.acknowledged and asked.job_id not in history.stored:
            yield asked.job_id, f"({asked.kind}) was acknowledged and is not there"


def not_ended(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        if not stored.seen.is_final:
            kind = history.asked[job_id].kind
            yield job_id, f"({kind}) is still {stored.seen.status} at attempt {stored.seen.attempt}"


def wrong_ending(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        asked, seen = history.asked[job_id], stored.seen
        if seen.is_final and (seen.status, seen.reason) not in asked.endings and seen.reason != "POISON":
            yield job_id, f"({asked.kind}) ended as {seen.status} {seen.reason}"


def poisoned_neighbour(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        asked, seen = history.asked[job_id], stored.seen
        if seen.reason == "POISON" and (seen.status, seen.reason) not in asked.endings:
            yield job_id, f"({asked.kind}) failed as if it had taken its workers down"


def wrong_result(history: History) -> Iterator[tuple[str, str]]:
    """The recorded result is that of the one run that MongoDB names, and that run returned it."""
    runs = {run.run_id: run for run in history.runs}
    for job_id, stored in history.stored.items():
        seen = stored.seen
        if seen.status != "completed":
            if seen.result is not None:
                yield job_id, f"is {seen.status} and has a result"
            continue
        if history.asked[job_id].by_hand:
            continue
        run = runs.get(_run_id(seen))
        if run is None or run.job_id != job_id:
            yield job_id, f"has a result that no run of it returned: {seen.result}"
        elif run.attempt < seen.attempt:
            yield job_id, f"has the result of attempt {run.attempt}, which attempt {seen.attempt} superseded"
        elif (run.attempt, run.worker) != (seen.attempt, _name(seen.worker_id)):
            yield (
                job_id,
                f"names attempt {seen.attempt} of {seen.worker_id}, its result {run.attempt} of {run.worker}",
            )
        elif run.ending != "returned":
            yield job_id, f"has the result of a run that ended otherwise: {run.ending}"


def two_results(history: History) -> Iterator[tuple[str, str]]:
    """Nobody ever saw another result than the one that is stored."""
    for job_id, views in _views(history).items():
        results = {seen.result for seen in views if seen.status == "completed"}
        if len(results) > 1:
            yield job_id, f"had {len(results)} results"


def revision_backwards(history: History) -> Iterator[tuple[str, str]]:
    latest: dict[tuple[str, str], Seen] = {}
    for told in history.told:
        place = (told.reader, told.seen.job_id)
        before = latest.get(place)
        if before is not None and told.seen.revision < before.revision:
            yield (
                told.seen.job_id,
                f"went from revision {before.revision} to {told.seen.revision} for {told.reader}",
            )
        latest[place] = told.seen


def taken_back(history: History) -> Iterator[tuple[str, str]]:
    """A version that somebody saw stays part of the job's history: MongoDB has it, or a later one."""
    for job_id, views in _views(history).items():
        by_revision: dict[int, Seen] = {}
        for seen in views:
            known = by_revision.setdefault(seen.revision, seen)
            if known != seen:
                yield job_id, f"has two versions of revision {seen.revision}: {known} and {seen}"
        stored = history.stored.get(job_id)
        highest = max(by_revision)
        if stored is not None and highest > stored.seen.revision:
            yield job_id, f"was seen at revision {highest} and is stored at {stored.seen.revision}"
        # No client of a run calls Retry, so the first final version is the last one.
        final = min((revision for revision, seen in by_revision.items() if seen.is_final), default=highest)
        if final < highest:
            yield job_id, f"was final at revision {final} and changed until {highest}"


def rerun(history: History) -> Iterator[tuple[str, str]]:
    """One attempt is one run; a further attempt needs a reason, which the job's history and a fault both give."""
    faults = defaultdict(list)
    for fault in history.faults:
        faults[fault.part].append(fault)
    counts = Counter((run.job_id, run.attempt) for run in history.runs)
    for (job_id, attempt), count in counts.items():
        if count > 1:
            yield job_id, f"ran {count} times at attempt {attempt}"
        stored = history.stored.get(job_id)
        if stored is None or attempt > stored.seen.attempt:
            yield job_id, f"ran at attempt {attempt}, which was never claimed"
    for job_id, stored in history.stored.items():
        known = {attempt.number: attempt for attempt in stored.attempts}
        for number in range(1, stored.seen.attempt):
            earlier = known.get(number)
            if earlier is None:
                yield job_id, f"has attempt {stored.seen.attempt}, and its history lacks attempt {number}"
            elif not _is_explained(earlier, may_error=history.asked[job_id].may_error, faults=faults):
                yield (
                    job_id,
                    f"was tried again after attempt {number}, {earlier.outcome}: no fault explains it",
                )


def _is_explained(attempt: Attempt, *, may_error: bool, faults: Mapping[str, Sequence[Fault]]) -> bool:
    kinds = {"lost": {"killed", "frozen"}, "handed_back": {"stopped"}}.get(attempt.outcome)
    if kinds is None:
        return attempt.outcome == "errored" and may_error
    end = attempt.end or attempt.start
    return any(
        fault.kind in kinds and fault.at <= end + CLAIM_SLACK and fault.healed >= attempt.start - CLAIM_SLACK
        for fault in faults[attempt.worker]
    )


def ran_on(history: History) -> Iterator[tuple[str, str]]:
    """A job that was handed back does not start again before its handler has ended."""
    runs = {(run.job_id, run.attempt): run for run in history.runs}
    for job_id, stored in history.stored.items():
        for attempt in stored.attempts:
            run, later = runs.get((job_id, attempt.number)), runs.get((job_id, attempt.number + 1))
            if attempt.outcome == "handed_back" and run and later and (run.end or 0) > later.start:
                yield job_id, f"was handed back at attempt {attempt.number}, which ran on beside the next"


def cancelled_ran(history: History) -> Iterator[tuple[str, str]]:
    last_attempt: dict[str, int] = {}
    for run in history.runs:
        last_attempt[run.job_id] = max(run.attempt, last_attempt.get(run.job_id, 0))
    for job_id, asked in history.asked.items():
        if asked.cancelled is None:
            continue
        stored, attempt = history.stored.get(job_id), last_attempt.get(job_id, 0)
        if stored is not None and stored.seen.status != "cancelled":
            yield job_id, f"was cancelled, and is {stored.seen.status}"
        if attempt > asked.cancelled.attempt:
            yield job_id, f"was cancelled at attempt {asked.cancelled.attempt}, and ran at {attempt}"


def ran_while_stopped(history: History) -> Iterator[tuple[str, str]]:
    """Stop has answered that all workers follow it: none takes a job until Start is called."""
    for stop in history.stops:
        for job_id, stored in history.stored.items():
            if stop.type not in ("", history.asked[job_id].type):
                continue
            for attempt in stored.attempts:
                if (
                    attempt.worker
                    and stop.worker in ("", attempt.worker)
                    and stop.at < attempt.start < stop.until
                ):
                    yield (
                        job_id,
                        f"was taken {attempt.start - stop.at:.3f} s after the stop of {stop.type or stop.worker or 'all'}",
                    )


def too_early(history: History) -> Iterator[tuple[str, str]]:
    """By the database's time: nothing starts before its schedule_time, or in the wait after a failure."""
    for job_id, stored in history.stored.items():
        asked = history.asked[job_id]
        for attempt in stored.attempts:
            if asked.schedule_time is not None and attempt.start < asked.schedule_time - CLOCK_SLACK:
                yield (
                    job_id,
                    f"started {asked.schedule_time - attempt.start:.3f} s early (attempt {attempt.number})",
                )
        for before, after in pairwise(stored.attempts):
            wait = after.start - (before.end or before.start)
            if before.outcome == "errored" and wait < asked.least_backoff - CLOCK_SLACK:
                yield job_id, f"waited {wait:.3f} s after attempt {before.number} instead of backing off"


def too_late(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        expire_time = history.asked[job_id].expire_time
        for attempt in stored.attempts:
            if expire_time is not None and attempt.start >= expire_time + CLOCK_SLACK:
                yield job_id, f"started {attempt.start - expire_time:.3f} s late (attempt {attempt.number})"


def too_many_tries(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        most = history.asked[job_id].max_attempts
        errored = sum(attempt.outcome == "errored" for attempt in stored.attempts)
        if max(stored.failures, errored) > most:
            yield (
                job_id,
                f"failed {max(stored.failures, errored)} times, and was to have {most} tries at the most",
            )


def trouble(history: History) -> Iterator[tuple[str, str]]:
    for words in history.troubles:
        yield "", words


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        lost,
        not_ended,
        wrong_ending,
        poisoned_neighbour,
        wrong_result,
        two_results,
        revision_backwards,
        taken_back,
        rerun,
        ran_on,
        cancelled_ran,
        ran_while_stopped,
        too_early,
        too_late,
        too_many_tries,
        trouble,
    )
}


def _views(history: History) -> Mapping[str, Sequence[Seen]]:
    """All versions of each job that anybody saw, MongoDB's included."""
    views: defaultdict[str, list[Seen]] = defaultdict(list)
    for told in history.told:
        views[told.seen.job_id].append(told.seen)
    for job_id, stored in history.stored.items():
        views[job_id].append(stored.seen)
    return views


def _run_id(seen: Seen) -> str:
    result: Any = json.loads(seen.result or "null")
    return str(result.get("run", "")) if isinstance(result, dict) else ""


def _name(worker_id: str) -> str:
    return worker_id.rpartition("/")[0]
