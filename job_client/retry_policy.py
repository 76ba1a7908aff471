"""When a job is retried after its handler failed."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a job is retried after its handler failed.

    None: the server's default (docs/howto/retry-jobs.md). A number is seconds; the client returns timedeltas.
    """

    max_attempts: int | None = None
    initial_backoff: timedelta | float | None = None
    max_backoff: timedelta | float | None = None
    multiplier: float | None = None
    jitter: float | None = None
