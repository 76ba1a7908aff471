"""What a benchmark run found, as data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """One row measured once.

    `cpu_seconds` and `peak_bytes` are by role and leave the load generator out; `load_cpu_seconds` is the load
    generator's.
    """

    jobs: int
    submit_seconds: float
    total_seconds: float
    cpu_seconds: Mapping[str, float]
    load_cpu_seconds: float
    peak_bytes: Mapping[str, int]

    @property
    def submit_rate(self) -> float:
        """Jobs a second, from the first call to the last answer."""
        return self.jobs / self.submit_seconds

    @property
    def rate(self) -> float:
        """Jobs a second, from the first call to the last result."""
        return self.jobs / self.total_seconds

    @property
    def cpu_per_1000(self) -> float:
        """CPU seconds of the system for 1,000 jobs."""
        return sum(self.cpu_seconds.values()) / self.jobs * 1000

    @property
    def load_per_1000(self) -> float:
        """CPU seconds of the load generator for 1,000 jobs."""
        return self.load_cpu_seconds / self.jobs * 1000

    @property
    def peak(self) -> int:
        """Bytes, all processes of the system together."""
        return sum(self.peak_bytes.values())


@dataclass(frozen=True, slots=True)
class Latency:
    """From Create to a readable result, in milliseconds, at a steady rate."""

    p50: float
    p95: float
    p99: float
    jobs: int


@dataclass(frozen=True, slots=True)
class Round:
    """Everything measured once: samples by row, latencies by system.

    `batch` is the size of the batch in which the median job of the BatchCreate row was stored and changed, or the
    setting that stands for it; the floor was measured with it.
    """

    samples: Mapping[str, Sample]
    latencies: Mapping[str, Latency]
    batch: int


@dataclass(frozen=True, slots=True)
class Memory:
    """RSS in bytes of API server and worker, after so many jobs."""

    jobs: int
    rss: int


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run. `memory` is empty if it was not measured."""

    rounds: Sequence[Round]
    memory: Sequence[Memory] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
