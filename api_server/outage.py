"""One log line when something goes out of reach and one when it is back, however often it was tried between."""

import time

import structlog

log = structlog.get_logger()


class Outage:
    """Told of every success and failure of something, whose name is `what`; logs the changes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: float | None = None

    def failed(self, reason: str) -> None:
        """It did not work; `reason` is told for the first failure in a row."""
        if self._since is None:
            self._since = time.monotonic()
            log.warning("outage_began", what=self._what, reason=reason)

    def succeeded(self) -> None:
        """It worked."""
        if self._since is not None:
            log.info("outage_ended", what=self._what, seconds=round(time.monotonic() - self._since, 1))
            self._since = None
