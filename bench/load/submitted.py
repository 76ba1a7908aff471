"""What a load generator tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Submitted:
    """`jobs` were answered within `seconds`; sending and receiving cost the load generator `cpu_seconds`."""

    jobs: int
    seconds: float
    cpu_seconds: float
