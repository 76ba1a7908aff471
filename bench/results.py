"""The results of a benchmark run as data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one row.

    `cpu_seconds` and `peak_bytes` are by role, without the load generator. `load_cpu_seconds` is the load
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
        """Jobs per second, from the first call to the last answer."""
        return self.jobs / self.submit_seconds

    @property
    def rate(self) -> float:
        """Jobs per second, from the first call to the last result."""
        return self.jobs / self.total_seconds

    @property
    def cpu_per_1000(self) -> float:
        """CPU seconds of the system per 1,000 jobs."""
        return sum(self.cpu_seconds.values()) / self.jobs * 1000

    @property
    def load_per_1000(self) -> float:
        """CPU seconds of the load generator per 1,000 jobs."""
        return self.load_cpu_seconds / self.jobs * 1000

    @property
    def peak(self) -> int:
        """Peak memory in bytes of all processes of the system together."""
        return sum(self.peak_bytes.values())


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from Create until the result can be read, at a steady rate."""

    p50: float
    p95: float
    p99: float
    jobs: int


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of everything: samples by row, latencies by system.

    `batch` is the size of the batch in which the median job of the BatchCreate row was written, or the
    setting `floor_batch` if that row was not measured. The floor was measured with batches of this size.
    """

    samples: Mapping[str, Sample]
    latencies: Mapping[str, Latency]
    batch: int


@dataclass(frozen=True, slots=True)
class Memory:
    """RSS in bytes of API server and worker, after `jobs` jobs."""

    jobs: int
    rss: int


@dataclass(frozen=True, slots=True)
class Results:
    """A complete run. `memory` is empty if it was not measured."""

    rounds: Sequence[Round]
    memory: Sequence[Memory] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
