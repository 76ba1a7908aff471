"""What execution hands over to the parts after it."""

from typing import Protocol

from worker_service.claiming.in_flight import Claimed
from worker_service.execution.outcome import Outcome


class OutcomeSink(Protocol):
    """Takes the outcomes of jobs."""

    def put(self, claimed: Claimed, outcome: Outcome) -> None:
        """Report the outcome of this job as soon as possible."""
