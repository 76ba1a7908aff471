"""Creates jobs with the Python client."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.load.callers import by_callers
from bench.load.submitted import Submitted
from bench.work import text
from job_client import AsyncJobClient, AsyncJobHandle


def create_by_client(addresses: Sequence[str], first: int, jobs: int, callers: int) -> Submitted:
    """One client for each address, which the callers share in equal parts. Raises JobClientError."""
    return asyncio.run(_create(addresses, first, jobs, callers))


async def _create(addresses: Sequence[str], first: int, jobs: int, callers: int) -> Submitted:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(AsyncJobClient(address)) for address in addresses]
        return await by_callers([_creates(client) for client in clients], first, jobs, callers)


def _creates(client: AsyncJobClient) -> Callable[[int], Awaitable[AsyncJobHandle[Any]]]:
    return lambda number: client.submit("compute", {"input": text(number)})
