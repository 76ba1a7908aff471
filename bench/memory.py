"""Measures whether the services' memory grows with the number of jobs."""

from collections.abc import Iterator, Sequence

from bench.load.grpc_load import create_in_batches
from bench.results import Memory
from bench.systems import JobSystem
from bench.work import BLOCK, Numbers

ROLES = "api_server", "worker"
STEP = 20_000
"""How many jobs wait at a time at most."""
DRAIN_SECONDS = 600.0


def memory_after(
    system: JobSystem, levels: Sequence[int], batch_size: int, in_flight: int
) -> Iterator[Memory]:
    """The RSS after each number of jobs in `levels`, which must be in ascending order."""
    numbers = Numbers()
    usage = system.servers.usage()
    done = 0
    for level in levels:
        while done < level:
            jobs = min(STEP, level - done, BLOCK)
            create_in_batches(system.grpc_addresses, numbers.take(), jobs, batch_size, in_flight)
            system.wait_drained(DRAIN_SECONDS)
            done += jobs
        yield Memory(done, usage.rss(*ROLES))
