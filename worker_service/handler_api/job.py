"""The job that a handler receives."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


class _Run:
    """What changes while a job's handler runs. It is not compared, not copied and not sent to another
    process.
    """

    __slots__ = ("_cancelled", "_started_at")


@dataclass(frozen=True, slots=True)
class Job(_Run):
    """One attempt at a job.

    `attempt` starts at 1 and grows with each start of the job. `payload` is a JSON object with whole numbers
    as int. `labels` are those that the job was created with. `max_attempts` is the number of failures after
    which the job has failed; 0: not known, because an API server of an earlier version published the job.
    `timeout`: how many seconds this attempt may run; None: without a limit.
    """

    id: str
    type: str
    attempt: int
    payload: dict[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cancelled", False)
        object.__setattr__(self, "_started_at", None)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (
            self.id,
            self.type,
            self.attempt,
            self.payload,
            self.labels,
            self.max_attempts,
            self.timeout,
        )
        return Job, fields

    @property
    def deadline(self) -> datetime | None:
        """When the handler is stopped because its `timeout` is up, by the clock of its host, in UTC.

        None: it may run for any time, or it does not run.
        """
        started_at: float | None = self._started_at  # type: ignore[attr-defined]  # - set by __post_init__
        if started_at is None or self.timeout is None:
            return None
        try:
            return datetime.fromtimestamp(started_at, UTC) + timedelta(seconds=self.timeout)
        except OverflowError:
            return None

    def cancelled(self) -> bool:
        """Whether the result of this attempt is no longer needed.

        This is so when the time is up, when the job was cancelled or belongs to another worker, and when this
        worker ends. Nothing else stops a handler in a thread, so it should ask often.

        Can be called from any thread and costs almost nothing. Ask the object that the handler received: a
        copy does not know.
        """
        is_cancelled: bool = self._cancelled  # type: ignore[attr-defined]  # - set by __post_init__
        return is_cancelled


def mark_started(job: Job, clock: Callable[[], float] = time.time) -> None:
    """The handler is called now."""
    object.__setattr__(job, "_started_at", clock())


def mark_cancelled(job: Job) -> None:
    """Make `job.cancelled()` return True from now on."""
    object.__setattr__(job, "_cancelled", True)
