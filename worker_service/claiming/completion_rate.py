"""How fast a lane completes its jobs."""

from collections.abc import Callable

from service_runtime.recent_count import RecentCount

AHEAD_SECONDS = 0.1
MEMORY_SECONDS = 1.0
"""How long a finished job's duration is used to predict the next ones."""
RUNS_REMEMBERED = 50
SHORTEST_RUN = 1e-6
"""Seconds; no handler takes less."""


class CompletionRate:
    """Predicts how many jobs will end within the next AHEAD_SECONDS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._short_runs = RecentCount(AHEAD_SECONDS, clock)
        self._mean_run = 0.0
        """Seconds, the mean of about RUNS_REMEMBERED latest runs."""
        self._last_run = clock() - MEMORY_SECONDS

    def note_run(self, seconds: float) -> None:
        """A job has run for `seconds`."""
        if self._is_known():
            self._mean_run += (seconds - self._mean_run) / RUNS_REMEMBERED
        else:
            self._mean_run = seconds
        self._last_run = self._clock()
        if seconds < AHEAD_SECONDS:
            self._short_runs.note()

    def soon_done(self) -> int:
        """The larger of two predictions, each for AHEAD_SECONDS.

        The first is how many short jobs have ended in the last AHEAD_SECONDS: it counts jobs that run side by
        side. The second is how many jobs of the mean duration one slot can run: it does not fall when the API
        server is slow.
        """
        return max(self._short_runs.count(), self._runs_in_one_slot())

    def _runs_in_one_slot(self) -> int:
        if not self._is_known() or self._mean_run >= AHEAD_SECONDS:
            return 0
        return int(AHEAD_SECONDS / max(self._mean_run, SHORTEST_RUN))

    def _is_known(self) -> bool:
        return self._clock() - self._last_run < MEMORY_SECONDS
