"""The result of a load generator."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Submitted:
    """`jobs` calls were answered in `seconds`. The load generator used `cpu_seconds`."""

    jobs: int
    seconds: float
    cpu_seconds: float
