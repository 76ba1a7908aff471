"""The targets, each a ratio within one round, and whether they are met. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.results import Latency, Results, Round
from bench.stats import Spread, spread

OURS_GRPC, OURS_BATCH, OURS_REST = "ours, gRPC Create", "ours, BatchCreate", "ours, REST"
OURS_STUBS, OURS_CLIENT = "ours, generated stubs", "ours, job_client"
OURS_WAIT = "ours, Create with wait"
CELERY, TASKIQ, DRAMATIQ = "Celery", "Taskiq", "Dramatiq"
PLAIN, FLOOR = "plain, REST", "floor"
ROWS = (
    OURS_GRPC,
    OURS_WAIT,
    OURS_STUBS,
    OURS_CLIENT,
    OURS_BATCH,
    OURS_REST,
    CELERY,
    TASKIQ,
    DRAMATIQ,
    PLAIN,
    FLOOR,
)


@dataclass(frozen=True, slots=True)
class Target:
    """The median of `ratio` over all rounds must be at least `bound`, or at most if `at_most`.

    `ratio` returns None if a row is missing.
    """

    what: str
    against: str
    bound: float
    at_most: bool
    ratio: Callable[[Round], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`measured` is None if a row is missing; then the target is not met."""

    what: str
    against: str
    bound: float
    at_most: bool
    measured: Spread | None

    @property
    def met(self) -> bool:
        if self.measured is None:
            return False
        return self.measured.median <= self.bound if self.at_most else self.measured.median >= self.bound


def _rates(row: str, against: str) -> Callable[[Round], float | None]:
    def ratio(one: Round) -> float | None:
        ours, theirs = one.samples.get(row), one.samples.get(against)
        return ours.rate / theirs.rate if ours and theirs else None

    return ratio


def _latencies(percentile: Callable[[Latency], float]) -> Callable[[Round], float | None]:
    def ratio(one: Round) -> float | None:
        ours, theirs = one.latencies.get(OURS_WAIT), one.latencies.get(CELERY)
        return percentile(ours) / percentile(theirs) if ours and theirs else None

    return ratio


def _cpu(one: Round) -> float | None:
    """The worse of two ratios: without the load generators' CPU time, and with it."""
    ours, theirs = one.samples.get(OURS_BATCH), one.samples.get(CELERY)
    if not ours or not theirs:
        return None
    with_load = (ours.cpu_per_1000 + ours.load_per_1000) / (theirs.cpu_per_1000 + theirs.load_per_1000)
    return max(ours.cpu_per_1000 / theirs.cpu_per_1000, with_load)


TARGETS = (
    Target("jobs/s, Create over gRPC", CELERY, 5, at_most=False, ratio=_rates(OURS_GRPC, CELERY)),
    Target("jobs/s, BatchCreate", CELERY, 13, at_most=False, ratio=_rates(OURS_BATCH, CELERY)),
    Target("jobs/s, BatchCreate", FLOOR, 0.6, at_most=False, ratio=_rates(OURS_BATCH, FLOOR)),
    Target("jobs/s, REST through Envoy", CELERY, 4, at_most=False, ratio=_rates(OURS_REST, CELERY)),
    Target("jobs/s, REST through Envoy", PLAIN, 15, at_most=False, ratio=_rates(OURS_REST, PLAIN)),
    Target("latency p50, Create with wait", CELERY, 1, at_most=True, ratio=_latencies(lambda each: each.p50)),
    Target("latency p99, Create with wait", CELERY, 1, at_most=True, ratio=_latencies(lambda each: each.p99)),
    Target("CPU per job, BatchCreate", CELERY, 1 / 9, at_most=True, ratio=_cpu),
)
MEMORY_BOUND = 1.1


def verdicts(results: Results) -> list[Verdict]:
    """One verdict for each target. Memory is the last."""
    found = []
    for target in TARGETS:
        ratios = [ratio for one in results.rounds if (ratio := target.ratio(one)) is not None]
        found.append(
            Verdict(
                target.what,
                target.against,
                target.bound,
                target.at_most,
                measured=spread(ratios) if ratios else None,
            )
        )
    growth = [results.memory[-1].rss / results.memory[0].rss] if len(results.memory) > 1 else []
    found.append(
        Verdict(
            "memory of API server and worker, later",
            "earlier",
            MEMORY_BOUND,
            at_most=True,
            measured=spread(growth) if growth else None,
        )
    )
    return found
