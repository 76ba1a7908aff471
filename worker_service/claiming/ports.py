"""What claiming hands over to the parts after it."""

from typing import Protocol

from worker_service.claiming.in_flight import Claimed


class ClaimedJobs(Protocol):
    """Takes the jobs that this worker has claimed."""

    def start(self, claimed: Claimed) -> None:
        """Run this job."""

    def give_up(self, claimed: Claimed) -> None:
        """Stop this job without a report: it was cancelled, or its claim is lost."""
