"""A model of a job, as simple as possible: one job in memory, changed by plain code.

Each method returns whether the change is applied; for a report of failure, the resulting status, None if it
is refused.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

LEASE = timedelta(seconds=15)
UNFENCED_LEASE = timedelta(hours=1)
FIRST_BACKOFF, LONGEST_BACKOFF = timedelta(seconds=1), timedelta(minutes=5)
CLOCK_TOLERANCE = timedelta(seconds=1)
MAX_LONE_LOSSES = 3
MAX_HISTORY = 20

Token = tuple[str, int]
"""Worker id and attempt."""


@dataclass
class ModelJob:
    max_attempts: int
    due_time: datetime | None
    expire_time: datetime | None = None
    next_attempt_time: datetime | None = None
    status: str = "queued"
    attempt: int = 0
    worker: str = ""
    failures: int = 0
    losses: int = 0
    lone_losses: int = 0
    alone: bool = False
    result: Any = None
    reason: str | None = None
    progress: str | None = None
    is_unfenced: bool = False
    past: list[tuple[int, str, str]] = field(default_factory=list)
    changes: int = 0

    @property
    def history(self) -> list[tuple[int, str, str]]:
        """Number, worker id and outcome of each attempt."""
        if not self.worker and not self.is_unfenced:
            return self.past[-(MAX_HISTORY - 1) :]
        outcomes = {"processing": "running", "completed": "succeeded", "cancelled": "cancelled"}
        outcome = outcomes.get(self.status) or ("lost" if self.reason == "POISON" else "errored")
        return [*self.past[-(MAX_HISTORY - 1) :], (self.attempt, self.worker, outcome)]

    def expired(self, now: datetime) -> bool:
        return self.expire_time is not None and now >= self.expire_time

    def waiting(self, now: datetime) -> bool:
        return self.next_attempt_time is not None and now < self.next_attempt_time

    def holds(self, token: Token) -> bool:
        return self.status == "processing" and (self.worker, self.attempt) == token

    # --- Changes ---

    def claim(self, worker: str, expected: int, now: datetime, *, alone: bool) -> bool:
        if self.holds((worker, expected + 1)):
            return True
        if self.status != "queued" or self.attempt != expected or self.expired(now):
            return False
        if self.waiting(now + CLOCK_TOLERANCE):
            return False
        self._start(worker, now + LEASE)
        self.alone = alone
        return True

    def end_solitude(self, token: Token, now: datetime) -> bool:
        if not self.holds(token):
            return False
        if not self.alone:
            return True
        self.alone = False
        self.due_time = now + LEASE
        self.changes += 1
        return True

    def claim_unfenced(self, now: datetime) -> bool:
        if self.status != "queued" or self.expired(now) or self.waiting(now):
            return False
        self._start("", now + UNFENCED_LEASE)
        self.is_unfenced = True
        return True

    def complete(self, token: Token, result: Any) -> bool:
        if not self.holds(token):
            return (self.status, self.worker, self.attempt, self.result) == ("completed", *token, result)
        self.result = result
        self._end("completed", None)
        return True

    def fail(self, token: Token, permanent: bool, wait: timedelta | None, now: datetime) -> str | None:
        number, worker = token[1], token[0]
        if not self.holds(token):
            if (number, worker, "errored") not in self.history:
                return None
            return "failed" if self.status == "failed" and self.attempt == number else "queued"
        self.failures += 1
        if permanent or self.failures >= self.max_attempts:
            self._end("failed", "HANDLER_ERROR")
        else:
            backoff = min(FIRST_BACKOFF * 2 ** (self.failures - 1), LONGEST_BACKOFF)
            self._queue("errored", now + (backoff if wait is None else wait), is_wait=True)
        return self.status

    def release(self, token: Token, now: datetime) -> bool:
        if self.holds(token):
            self._queue("handed_back", now)
            return True
        return self.status == "queued" and self.attempt == token[1]

    def complete_unfenced(self, status: str, result: Any) -> bool:
        if self.status == "processing" and not self.worker:
            self.failures += status == "failed"
            self.result = result
            self._end(status, "UNKNOWN" if status == "failed" else None)
            return True
        reason = "UNKNOWN" if status == "failed" else None
        return (self.status, self.worker, self.result, self.reason) == (status, "", result, reason)

    def cancel(self) -> bool:
        if self.status not in ("queued", "processing"):
            return False
        self._end("cancelled", "CANCELLED")
        return True

    def retry(self, now: datetime, expire_time: datetime | None) -> bool:
        if self.status not in ("failed", "cancelled") or (expire_time is None and self.expired(now)):
            return False
        self.past = self.history
        self.expire_time = expire_time or self.expire_time
        self.failures = self.losses = self.lone_losses = 0
        self.reason = self.progress = None
        self._queue(None, now)
        return True

    def lose(self, now: datetime) -> None:
        self.losses += bool(self.worker)
        self.lone_losses += bool(self.worker) and self.alone
        if self.worker and self.alone and self.lone_losses >= MAX_LONE_LOSSES:
            self._end("failed", "POISON")
        else:
            self._queue("lost", now)

    def expire(self) -> None:
        self._end("failed", "EXPIRED")

    def note_progress(self, token: Token, message: str) -> None:
        if self.holds(token):
            self.progress = message
            self.changes += 1

    # --- Parts of several changes ---

    def _start(self, worker: str, lease_end: datetime) -> None:
        self.status, self.worker, self.due_time = "processing", worker, lease_end
        self.attempt += 1
        self.alone = False
        self.next_attempt_time = self.progress = None
        self.changes += 1

    def _end(self, status: str, reason: str | None) -> None:
        self.status, self.reason = status, reason
        self.due_time = self.next_attempt_time = None
        self.changes += 1

    def _queue(self, outcome: str | None, due_time: datetime, *, is_wait: bool = False) -> None:
        if outcome is not None:
            self.past = [*self.past, (self.attempt, self.worker, outcome)]
        self.status, self.worker, self.is_unfenced = "queued", "", False
        self.next_attempt_time = due_time if is_wait else None
        self.due_time = due_time if self.expire_time is None else min(due_time, self.expire_time)
        self.changes += 1
