"""What a handler is given, and the errors by which it says more than that it failed."""

import math
import numbers
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

MOST_RETRY_AFTER = 7 * 24 * 3600
"""Seconds; the contract's limit."""


@dataclass(frozen=True)
class Job:
    """One attempt at a job. `attempt` counts from 1 and grows with each start; `payload` is a JSON object, whole numbers as int."""

    # Whether it was cancelled is no field: it is neither compared nor copied, nor does it travel to another process.
    __slots__ = ("_cancelled", "attempt", "id", "payload", "type")

    id: str
    type: str
    attempt: int
    payload: dict[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cancelled", False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Job, (self.id, self.type, self.attempt, self.payload)

    def cancelled(self) -> bool:
        """Whether nobody wants this attempt's result any more: its time is up, the job was cancelled or belongs to another
        worker, or this worker ends. To be asked again and again by a handler in a thread, which nothing else stops.

        May be called from any thread, and costs next to nothing. It is about this very object, not about a copy.
        """
        is_cancelled: bool = self._cancelled  # type: ignore[attr-defined]
        return is_cancelled


def note_cancelled(job: Job) -> None:
    """Have `job` tell its handler that nobody wants its result any more."""
    object.__setattr__(job, "_cancelled", True)


class InputError(ValueError):
    """The job's payload is at fault: `field` and what the rule is, such as `input: must be a string, is a number`.

    No other try is made.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        return InputError, (self.field, self.problem)


class PermanentError(Exception):
    """Another try cannot help: the job has failed for good. Its text, for people, becomes the job's error message."""


class RetryAfter(Exception):
    """The try has failed; the next one, if there is one left, is to start after `delay` seconds.

    A delay below 0 counts as 0, one above 7 days as 7 days. Raises TypeError for what is no number or timedelta,
    ValueError for NaN: the handler then fails of that, as of any error, and is tried again when the job's retry policy says.
    """

    def __init__(self, delay: float | timedelta, message: str = "") -> None:
        self.delay = seconds_of(delay)
        self.message = message
        super().__init__(message or f"to be tried again after {self.delay:g} s")

    def __reduce__(self) -> tuple[type["RetryAfter"], tuple[float, str]]:
        return RetryAfter, (self.delay, self.message)


def seconds_of(delay: Any) -> float:
    """A delay in seconds, within its limits. Raises TypeError, ValueError as RetryAfter does."""
    if isinstance(delay, timedelta):
        delay = delay.total_seconds()
    if not isinstance(delay, numbers.Real):
        raise TypeError(f"RetryAfter: the delay must be seconds or a timedelta, is a {type(delay).__name__}")
    # Once it is a plain float, no code but ours says how it compares.
    try:
        seconds = float(delay)
    except OverflowError:
        seconds = math.inf if delay > 0 else -math.inf  # type: ignore[operator]  # - of Real mypy knows no order
    if math.isnan(seconds):
        raise ValueError("RetryAfter: the delay must be a number, is NaN")
    return min(max(seconds, 0.0), float(MOST_RETRY_AFTER))
