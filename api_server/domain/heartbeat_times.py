"""The times that workers' heartbeats are held to. Pure."""

from dataclasses import dataclass
from datetime import timedelta

MAX_SILENT_INTERVALS = 3
"""A worker is lost when its latest heartbeat is older than this number of intervals.

By then two heartbeats are missing, and the third one had time to arrive.
"""


@dataclass(frozen=True, slots=True)
class HeartbeatTimes:
    """How long a claim holds without a heartbeat, and how often workers send heartbeats."""

    lease: timedelta
    heartbeat_interval: timedelta

    @property
    def max_silence(self) -> timedelta:
        """How long a worker may send no heartbeat before it counts as lost."""
        return MAX_SILENT_INTERVALS * self.heartbeat_interval
