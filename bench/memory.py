"""Whether the services grow with the number of jobs they have served."""

from collections.abc import Iterator, Sequence

from bench.load.grpc_load import create_in_batches
from bench.results import Memory
from bench.systems import JobSystem
from bench.work import BLOCK, Numbers

ROLES = "api_server", "worker"
STEP = 20_000
"""Jobs that may wait at a time."""
DRAIN_SECONDS = 600.0


def memory_after(
    system: JobSystem, looks: Sequence[int], batch_size: int, in_flight: int
) -> Iterator[Memory]:
    """RSS after so many jobs in all, for each of `looks`, in ascending order."""
    numbers = Numbers()
    usage = system.servers.usage()
    done = 0
    for look in looks:
        while done < look:
            jobs = min(STEP, look - done, BLOCK)
            create_in_batches(system.grpc_addresses, numbers.take(), jobs, batch_size, in_flight)
            system.wait_drained(DRAIN_SECONDS)
            done += jobs
        yield Memory(done, usage.rss(*ROLES))
