"""The errors that a handler raises to say why a job failed and whether another try makes sense."""

import math
import numbers
from datetime import timedelta
from typing import Any

MAX_RETRY_AFTER = 7 * 24 * 3600
"""Seconds; the contract's limit."""


class InputError(ValueError):
    """The job's payload is wrong, so the job is not tried again.

    `field` names the field, `problem` the rule and what was found, as in `input: must be a string, is a
    number`.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        return InputError, (self.field, self.problem)


class PermanentError(Exception):
    """Another try cannot succeed, so the job is not tried again. The text becomes the job's error message."""


class RetryAfter(Exception):
    """The try failed. The next try, if any is left, starts after `delay`: seconds or a timedelta.

    A delay below 0 counts as 0, one above 7 days as 7 days. Raises TypeError if `delay` is neither a number
    nor a timedelta, ValueError if it is NaN. The handler then fails with that error, as with any other, and
    is tried again as the job's retry policy says.
    """

    def __init__(self, delay: float | timedelta, message: str = "") -> None:
        self.delay = delay_seconds(delay)
        self.message = message
        super().__init__(message or f"try again after {self.delay:g} s")

    def __reduce__(self) -> tuple[type["RetryAfter"], tuple[float, str]]:
        return RetryAfter, (self.delay, self.message)


def delay_seconds(delay: Any) -> float:
    """`delay` in seconds, from 0 to MAX_RETRY_AFTER. Raises TypeError and ValueError as RetryAfter does."""
    if isinstance(delay, timedelta):
        delay = delay.total_seconds()
    if not isinstance(delay, numbers.Real):
        raise TypeError(f"RetryAfter: the delay must be seconds or a timedelta, is a {type(delay).__name__}")
    # A subclass may compare itself as it likes. A plain float cannot.
    try:
        seconds = float(delay)
    except OverflowError:
        seconds = math.inf if delay > 0 else -math.inf  # type: ignore[operator]  # - mypy gives Real no order
    if math.isnan(seconds):
        raise ValueError("RetryAfter: the delay must be a number, is NaN")
    return min(max(seconds, 0.0), float(MAX_RETRY_AFTER))
