"""What a load generator tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Submitted:
    """`jobs` were acknowledged within `seconds`; sending and receiving cost the load generator `cpu_seconds`.

    Up to `unanswered` calls were open when it ended: their jobs may be there or not.
    """

    jobs: int
    seconds: float
    cpu_seconds: float
    unanswered: int = 0
