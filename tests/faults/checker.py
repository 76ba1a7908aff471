"""Checks a history against the system's guarantees.

Pure. Each rule is a function that yields its violations.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.faults.history import Attempt, Fault, History, Seen

CLOCK_SLACK = 0.25
"""Seconds. How much two API servers' estimates of the database's time may differ."""
CLAIM_SLACK = 1.0
"""Seconds between the start time of a claim and the moment when the worker learns of it, and similar delays.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken guarantee: the rule's name, the job, and a description."""

    rule: str
    job_id: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.job_id} {self.text}".replace("  ", " ")


Rule = Callable[[History], Iterator[tuple[str, str]]]


def check(history: History) -> list[Finding]:
    """All violations, rule by rule."""
    return [Finding(name, job_id, text) for name, rule in RULES.items() for job_id, text in rule(history)]


def lost(history: History) -> Iterator[tuple[str, str]]:
    for requested in history.requested.values():
        if requested.acknowledged and requested.job_id not in history.stored:
            yield requested.job_id, f"({requested.kind}) was acknowledged and is not stored"


def not_ended(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        if not stored.seen.is_final:
            kind = history.requested[job_id].kind
            yield job_id, f"({kind}) is still {stored.seen.status} at attempt {stored.seen.attempt}"


def wrong_ending(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        requested, seen = history.requested[job_id], stored.seen
        if seen.is_final and (seen.status, seen.reason) not in requested.endings and seen.reason != "POISON":
            yield job_id, f"({requested.kind}) ended as {seen.status} {seen.reason}"


def poisoned_neighbour(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        requested, seen = history.requested[job_id], stored.seen
        if seen.reason == "POISON" and (seen.status, seen.reason) not in requested.endings:
            yield job_id, f"({requested.kind}) failed as POISON although it crashes no worker"


def wrong_result(history: History) -> Iterator[tuple[str, str]]:
    """The stored result was returned by the run that MongoDB names."""
    runs = {run.run_id: run for run in history.runs}
    for job_id, stored in history.stored.items():
        seen = stored.seen
        if seen.status != "completed":
            if seen.result is not None:
                yield job_id, f"is {seen.status} and has a result"
            continue
        if history.requested[job_id].by_hand:
            continue
        run = runs.get(_run_id(seen))
        if run is None or run.job_id != job_id:
            yield job_id, f"has a result that none of its runs returned: {seen.result}"
        elif run.attempt < seen.attempt:
            yield job_id, f"has the result of attempt {run.attempt}, which attempt {seen.attempt} superseded"
        elif (run.attempt, run.worker) != (seen.attempt, _name(seen.worker_id)):
            yield (
                job_id,
                f"names attempt {seen.attempt} of {seen.worker_id}, its result {run.attempt} of {run.worker}",
            )
        elif run.ending != "returned":
            yield job_id, f"has the result of a run that did not return: {run.ending}"


def two_results(history: History) -> Iterator[tuple[str, str]]:
    """No reader ever saw a result other than the stored one."""
    for job_id, views in _views(history).items():
        results = {seen.result for seen in views if seen.status == "completed"}
        if len(results) > 1:
            yield job_id, f"had {len(results)} results"


def revision_backwards(history: History) -> Iterator[tuple[str, str]]:
    latest: dict[tuple[str, str], Seen] = {}
    for observation in history.observations:
        reader, seen = observation.reader, observation.seen
        before = latest.get((reader, seen.job_id))
        if before is not None and seen.revision < before.revision:
            yield seen.job_id, f"went from revision {before.revision} to {seen.revision} for {reader}"
        latest[reader, seen.job_id] = seen


def changed_afterwards(history: History) -> Iterator[tuple[str, str]]:
    """A version that a reader saw is never lost: MongoDB has it or a later one."""
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
        # No client calls Retry, so the first final version must be the last one.
        final = min((revision for revision, seen in by_revision.items() if seen.is_final), default=highest)
        if final < highest:
            yield job_id, f"was final at revision {final} and changed until {highest}"


def rerun(history: History) -> Iterator[tuple[str, str]]:
    """An attempt runs once.

    A further attempt needs a reason in the job's history, and a fault that explains it.
    """
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
            elif not _is_explained(earlier, may_error=history.requested[job_id].may_error, faults=faults):
                yield (
                    job_id,
                    f"was retried after attempt {number}, {earlier.outcome}: no fault explains it",
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
    """A job that was released does not start again before its handler has ended."""
    runs = {(run.job_id, run.attempt): run for run in history.runs}
    for job_id, stored in history.stored.items():
        for attempt in stored.attempts:
            run, later = runs.get((job_id, attempt.number)), runs.get((job_id, attempt.number + 1))
            if attempt.outcome == "handed_back" and run and later and (run.end or 0) > later.start:
                yield (
                    job_id,
                    f"was released at attempt {attempt.number}, which still ran when the next began",
                )


def cancelled_ran(history: History) -> Iterator[tuple[str, str]]:
    last_attempt: dict[str, int] = {}
    for run in history.runs:
        last_attempt[run.job_id] = max(run.attempt, last_attempt.get(run.job_id, 0))
    for job_id, requested in history.requested.items():
        if requested.cancelled is None:
            continue
        stored, attempt = history.stored.get(job_id), last_attempt.get(job_id, 0)
        if stored is not None and stored.seen.status != "cancelled":
            yield job_id, f"was cancelled, and is {stored.seen.status}"
        if attempt > requested.cancelled.attempt:
            yield job_id, f"was cancelled at attempt {requested.cancelled.attempt}, and ran at {attempt}"


def ran_while_stopped(history: History) -> Iterator[tuple[str, str]]:
    """After Stop has answered that all workers are paused, no worker claims a job until Start is called."""
    for stop in history.stops:
        for job_id, stored in history.stored.items():
            if stop.type not in ("", history.requested[job_id].type):
                continue
            for attempt in stored.attempts:
                if (
                    attempt.worker
                    and stop.worker in ("", attempt.worker)
                    and stop.at < attempt.start < stop.until
                ):
                    stopped = stop.type or stop.worker or "all"
                    yield job_id, f"was claimed {attempt.start - stop.at:.3f} s after the stop of {stopped}"


def too_early(history: History) -> Iterator[tuple[str, str]]:
    """No job starts before its schedule_time, or during the wait after a failure, by the database's clock."""
    for job_id, stored in history.stored.items():
        requested = history.requested[job_id]
        for attempt in stored.attempts:
            early = (requested.schedule_time or attempt.start) - attempt.start
            if early > CLOCK_SLACK:
                yield job_id, f"started {early:.3f} s early (attempt {attempt.number})"
        for before, after in pairwise(stored.attempts):
            wait = after.start - (before.end or before.start)
            if before.outcome == "errored" and wait < requested.least_backoff - CLOCK_SLACK:
                yield job_id, f"waited {wait:.3f} s after attempt {before.number} instead of backing off"


def too_late(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        expire_time = history.requested[job_id].expire_time
        for attempt in stored.attempts:
            if expire_time is not None and attempt.start >= expire_time + CLOCK_SLACK:
                yield job_id, f"started {attempt.start - expire_time:.3f} s late (attempt {attempt.number})"


def too_many_attempts(history: History) -> Iterator[tuple[str, str]]:
    for job_id, stored in history.stored.items():
        most = history.requested[job_id].max_attempts
        errored = sum(attempt.outcome == "errored" for attempt in stored.attempts)
        if max(stored.failures, errored) > most:
            yield (
                job_id,
                f"failed {max(stored.failures, errored)} times, and its most attempts are {most}",
            )


def trouble(history: History) -> Iterator[tuple[str, str]]:
    for text in history.troubles:
        yield "", text


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
        changed_afterwards,
        rerun,
        ran_on,
        cancelled_ran,
        ran_while_stopped,
        too_early,
        too_late,
        too_many_attempts,
        trouble,
    )
}


def _views(history: History) -> Mapping[str, Sequence[Seen]]:
    """All versions of each job that a reader saw or that MongoDB has."""
    views: defaultdict[str, list[Seen]] = defaultdict(list)
    for observation in history.observations:
        views[observation.seen.job_id].append(observation.seen)
    for job_id, stored in history.stored.items():
        views[job_id].append(stored.seen)
    return views


def _run_id(seen: Seen) -> str:
    result: Any = json.loads(seen.result or "null")
    return str(result.get("run", "")) if isinstance(result, dict) else ""


def _name(worker_id: str) -> str:
    return worker_id.rpartition("/")[0]
