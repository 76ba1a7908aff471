"""The figures of a run, as one line of a table."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.checker import CLAIM_SLACK
from tests.faults.history import History

HEADLINE = (
    "| scenario | acknowledged | completed | failed | cancelled | lost | duplicates "
    "| longest time to recover |"
)
RULE = "|---|---|---|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Figures:
    """`duplicates`: handler runs without a result, because the worker was lost or handed the job back.

    `recovery`: the longest time in seconds for which a job made no progress. Either it was due and waited for
    a worker, or its handler had ended and the result was not stored. The time is counted from the end of the
    fault that caused it.
    """

    acknowledged: int
    completed: int
    failed: int
    cancelled: int
    lost: int
    duplicates: int
    recovery: float

    def line(self, scenario: str) -> str:
        counts = (
            self.acknowledged,
            self.completed,
            self.failed,
            self.cancelled,
            self.lost,
            self.duplicates,
        )
        return f"| {scenario} | {' | '.join(str(count) for count in counts)} | {self.recovery:.1f} s |"


def figures(history: History) -> Figures:
    statuses = Counter(stored.seen.status for stored in history.stored.values())
    acknowledged = [requested.job_id for requested in history.requested.values() if requested.acknowledged]
    return Figures(
        acknowledged=len(acknowledged),
        completed=statuses["completed"],
        failed=statuses["failed"],
        cancelled=statuses["cancelled"],
        lost=sum(job_id not in history.stored for job_id in acknowledged),
        duplicates=sum(1 for _ in _duplicates(history)),
        recovery=max((_since_healed(history, *gap) for gap in _gaps(history)), default=0.0),
    )


def _duplicates(history: History) -> Iterator[tuple[str, int]]:
    for run in history.runs:
        stored = history.stored.get(run.job_id)
        outcomes = {attempt.number: attempt.outcome for attempt in stored.attempts} if stored else {}
        if outcomes.get(run.attempt) in ("lost", "handed_back"):
            yield run.job_id, run.attempt


def _gaps(history: History) -> Iterator[tuple[float, float]]:
    """The intervals in which a job made no progress."""
    run_ends = {(run.job_id, run.attempt): run.end for run in history.runs if run.ending == "returned"}
    for job_id, stored in history.stored.items():
        requested = history.requested[job_id]
        if requested.by_hand:
            continue
        due = max(stored.create_time, requested.schedule_time or 0.0)
        for attempt in stored.attempts:
            yield due, attempt.start
            due = (attempt.end or attempt.start) + (
                requested.least_backoff if attempt.outcome == "errored" else 0.0
            )
            if attempt.outcome == "lost":
                due = _moment_of_loss(history, attempt.worker, attempt.start, due)
        ended = run_ends.get((job_id, stored.seen.attempt))
        if ended is not None and stored.seen.status == "completed" and stored.end_time is not None:
            yield ended, stored.end_time


def _moment_of_loss(history: History, worker: str, start: float, end: float) -> float:
    """When the fault happened that ended an attempt."""
    faults = (
        fault.at
        for fault in history.faults
        if fault.part == worker and start - CLAIM_SLACK <= fault.at <= end
    )
    return min(faults, default=end)


def _since_healed(history: History, begin: float, end: float) -> float:
    healed = [fault.healed for fault in history.faults if fault.at < end and begin < fault.healed]
    return max(0.0, end - max([begin, *healed]))
