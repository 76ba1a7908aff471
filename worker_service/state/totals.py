"""What a worker has done since it started."""

from dataclasses import dataclass


@dataclass(slots=True)
class Totals:
    """Plain counts."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    """Failures reported after which the job was queued for another try."""
    handed_back: int = 0
    superseded: int = 0
    """Reports refused because somebody else holds the job by now."""
    refused: int = 0
    """Claims refused: records that were doubled or stale, or whose job is gone."""
    bad_records: int = 0
