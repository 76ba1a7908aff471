"""How long a counter has not changed. Pure."""

MAX_SECONDS_PER_TICK = 2.0


class Silence:
    """How long, in seconds, a counter has not changed.

    A tick counts as MAX_SECONDS_PER_TICK at most. So a process that was stopped for a while has time to
    recover.
    """

    def __init__(self, count: int, now: float) -> None:
        self._count = count
        self._last = now
        self.seconds = 0.0

    def tick(self, count: int, now: float) -> None:
        """Compare the counter with its last value."""
        self.seconds += min(now - self._last, MAX_SECONDS_PER_TICK)
        self._last = now
        if count != self._count:
            self._count = count
            self.seconds = 0.0
