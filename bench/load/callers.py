"""Many callers at a time in one event loop, each with one call after the other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from bench.load.submitted import Submitted

Create = Callable[[int], Awaitable[object]]
"""Creates the job with this number."""


async def by_callers(clients: Sequence[Create], first: int, jobs: int, callers: int) -> Submitted:
    """The callers use `clients` in equal parts, and take the jobs from `first` on in turn."""
    numbers = iter(range(first, first + jobs))
    clock, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for nth in range(callers):
            group.create_task(_call(clients[nth % len(clients)], numbers))
    return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)


async def _call(create: Create, numbers: Iterator[int]) -> None:
    for number in numbers:
        await create(number)
