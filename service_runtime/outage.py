"""A few log lines for all failures of one cause: when something goes out of reach, how it goes on, and when it is back."""

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

SUMMARY_SECONDS = 30.0
"""Between two lines about an outage that goes on."""


class Outage:
    """Told of every success and failure of something, whose name is `what`; logs the changes, and the failures' count.

    `quiet_seconds`: how long nothing may fail, with something succeeding, until the outage is over. More than 0 is for what many
    callers use at a time: while some fail others may succeed.
    """

    def __init__(
        self, what: str, *, quiet_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._since: float | None = None
        self._told = 0.0
        self._failures = 0
        self._worked_at: float | None = None
        """When something succeeded first since the last failure."""

    def failed(self, reason: str) -> None:
        """It did not work; `reason` is told for the first failure in a row, and for the latest one now and then."""
        now = self._clock()
        if self._is_over(now):
            self._end()
        self._worked_at = None
        self._failures += 1
        if self._since is None:
            self._since = self._told = now
            log.warning("outage_began", what=self._what, reason=reason)
        elif now - self._told >= SUMMARY_SECONDS:
            self._told = now
            log.warning(
                "outage_goes_on",
                what=self._what,
                reason=reason,
                seconds=round(now - self._since, 1),
                failures=self._failures,
            )

    def succeeded(self) -> None:
        """It worked."""
        if self._since is None:
            return
        now = self._clock()
        if self._worked_at is None:
            self._worked_at = now
        if self._is_over(now):
            self._end()

    def _is_over(self, now: float) -> bool:
        return self._worked_at is not None and now - self._worked_at >= self._quiet_seconds

    def _end(self) -> None:
        if self._since is not None and self._worked_at is not None:
            log.info(
                "outage_ended",
                what=self._what,
                seconds=round(self._worked_at - self._since, 1),
                failures=self._failures,
            )
        self._since = self._worked_at = None
        self._failures = 0
