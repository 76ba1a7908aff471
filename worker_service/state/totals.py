"""What a worker has done since it started."""

from dataclasses import dataclass


@dataclass(slots=True)
class Totals:
    """Plain counts."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    """Reported failures after which the job was queued again."""
    released: int = 0
    """Jobs that this worker gave back unfinished, so that they run again."""
    superseded: int = 0
    """Reports that were refused because the job has another holder by now."""
    refused: int = 0
    """Refused claims: the record was a duplicate or stale, or the job is gone."""
    bad_records: int = 0
