"""The job that a handler receives."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One attempt at a job.

    `attempt` starts at 1 and grows with each start of the job. `payload` is a JSON object with whole numbers
    as int.
    """

    # Cancellation is not a field: it is not compared, not copied and not sent to another process.
    __slots__ = ("_cancelled", "attempt", "id", "payload", "type")

    id: str
    type: str
    attempt: int
    payload: dict[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cancelled", False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Job, (self.id, self.type, self.attempt, self.payload)

    def cancelled(self) -> bool:
        """Whether the result of this attempt is no longer needed.

        This is so when the time is up, when the job was cancelled or belongs to another worker, and when this
        worker ends. Nothing else stops a handler in a thread, so it should ask often.

        Can be called from any thread and costs almost nothing. Ask the object that the handler received: a
        copy does not know.
        """
        is_cancelled: bool = self._cancelled  # type: ignore[attr-defined]  # - set by __post_init__
        return is_cancelled


def mark_cancelled(job: Job) -> None:
    """Make `job.cancelled()` return True from now on."""
    object.__setattr__(job, "_cancelled", True)
