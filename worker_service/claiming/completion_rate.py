"""How fast a lane gets through its jobs."""

from collections.abc import Callable

from service_runtime.recent_count import RecentCount

AHEAD_SECONDS = 0.1
MEMORY_SECONDS = 1.0
"""So long after a job has ended, its time tells how long the next ones will take."""
RUNS_REMEMBERED = 50
SHORTEST_RUN = 1e-6
"""Seconds: no handler takes less."""


class CompletionRate:
    """Looks AHEAD_SECONDS ahead, by what has been."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._short_runs = RecentCount(AHEAD_SECONDS, clock)
        self._mean_run = 0.0
        """Seconds, of about RUNS_REMEMBERED latest runs."""
        self._last_run = clock() - MEMORY_SECONDS

    def note_run(self, seconds: float) -> None:
        """A job has run for so long."""
        if self._is_known():
            self._mean_run += (seconds - self._mean_run) / RUNS_REMEMBERED
        else:
            self._mean_run = seconds
        self._last_run = self._clock()
        if seconds < AHEAD_SECONDS:
            self._short_runs.note()

    def soon_done(self) -> int:
        """As many as ran, each in less than AHEAD_SECONDS, in the last AHEAD_SECONDS; or, if that is more, as many as one
        place gets through in that time. The first tells of jobs that wait side by side; the second does not fall when the
        API server is slow.
        """
        return max(self._short_runs.count(), self._through_one_place())

    def _through_one_place(self) -> int:
        if not self._is_known() or self._mean_run >= AHEAD_SECONDS:
            return 0
        return int(AHEAD_SECONDS / max(self._mean_run, SHORTEST_RUN))

    def _is_known(self) -> bool:
        return self._clock() - self._last_run < MEMORY_SECONDS
