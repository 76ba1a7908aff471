"""Logs an outage in a few lines instead of one per failure: its start, summaries, its end."""

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

SUMMARY_SECONDS = 30.0
"""Time between two summaries of an outage."""


class Outage:
    """Gets every success and failure of a dependency named `what`. Logs when an outage begins and ends.

    `quiet_seconds`: an outage is over after this time without a failure, counted from the first success. Use
    more than 0 for a dependency with many concurrent callers: during an outage some of them still succeed.
    """

    def __init__(
        self, what: str, *, quiet_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._since: float | None = None
        self._logged_at = 0.0
        self._failures = 0
        self._first_success: float | None = None
        """Time of the first success since the last failure."""

    def failed(self, reason: str) -> None:
        """A call failed. The log shows the first `reason`, and the latest one in each summary."""
        now = self._clock()
        if self._is_over(now):
            self._end()
        self._first_success = None
        self._failures += 1
        if self._since is None:
            self._since = self._logged_at = now
            log.warning("outage_began", what=self._what, reason=reason)
        elif now - self._logged_at >= SUMMARY_SECONDS:
            self._logged_at = now
            log.warning(
                "outage_goes_on",
                what=self._what,
                reason=reason,
                seconds=round(now - self._since, 1),
                failures=self._failures,
            )

    def succeeded(self) -> None:
        """A call succeeded."""
        if self._since is None:
            return
        now = self._clock()
        if self._first_success is None:
            self._first_success = now
        if self._is_over(now):
            self._end()

    def _is_over(self, now: float) -> bool:
        return self._first_success is not None and now - self._first_success >= self._quiet_seconds

    def _end(self) -> None:
        if self._since is not None and self._first_success is not None:
            log.info(
                "outage_ended",
                what=self._what,
                seconds=round(self._first_success - self._since, 1),
                failures=self._failures,
            )
        self._since = self._first_success = None
        self._failures = 0
