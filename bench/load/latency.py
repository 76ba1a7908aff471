"""Measures the time until a client has a job's result, at a steady rate below the system's limit.

Each job is created when it is due, even if earlier jobs take long. Its time is measured from then.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.errors import BenchFailed
from bench.results import Latency
from bench.stats import percentile
from bench.work import digest, text

POLL, POLL_SHARE = 0.002, 0.05
"""Seconds between two reads of a job, or this share of the time waited so far if that is more.

The share keeps the load of the reads small on a system that falls behind.
"""
DEADLINE = 120.0
"""Seconds. The latency of a system that is slower than the rate grows until the last job is created."""
START = 0.2
CLIENT_THREADS = 8


class JobTookTooLong(BenchFailed):
    """A job had no result within DEADLINE."""


class WrongResult(BenchFailed):
    """A job had another result than the hash of its text."""


def latency(seconds: Sequence[float]) -> Latency:
    p50, p95, p99 = (percentile(seconds, share) * 1000 for share in (0.50, 0.95, 0.99))
    return Latency(p50, p95, p99, len(seconds))


def pause(waited: float) -> float:
    """Seconds until the next read, the same for every system that is asked again and again."""
    return max(POLL, POLL_SHARE * waited)


async def in_tasks(run: Callable[[str], Awaitable[str]], first: int, jobs: int, rate: float) -> Latency:
    """`run` creates a job with this text and returns its hash. For clients that are asynchronous."""
    start = time.perf_counter() + START

    async def one(nth: int) -> float:
        due = start + nth / rate
        await asyncio.sleep(due - time.perf_counter())
        return _taken(due, text(first + nth), await run(text(first + nth)))

    return latency(await asyncio.gather(*map(one, range(jobs))))


def in_threads(run: Callable[[str], str], first: int, jobs: int, rate: float) -> Latency:
    """Like in_tasks, for clients that block a thread."""
    start = time.perf_counter() + START

    def one(nth: int) -> float:
        due = start + nth / rate
        time.sleep(max(due - time.perf_counter(), 0))
        return _taken(due, text(first + nth), run(text(first + nth)))

    with ThreadPoolExecutor(CLIENT_THREADS) as threads:
        return latency(list(threads.map(one, range(jobs))))


def _taken(due: float, job_text: str, result: str) -> float:
    """The seconds since `due`. Raises WrongResult."""
    taken = time.perf_counter() - due
    if result != digest(job_text):
        raise WrongResult(f"{job_text} has the result {result!r}")
    return taken
