"""Writes the responses of one call that watches."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from api_server.domain.errors import SlowReader
from contract_runtime.errors import ServiceError
from job_client._gen.jobs.v1.job_service_pb2 import WatchEnded
from service_runtime.access.principal import check_caller_again
from service_runtime.rest_context import rest_of

WRITE_SECONDS = 60.0
"""A caller that takes no response for so long is dropped."""

T = TypeVar("T")


async def write_responses(
    context: Any,
    events: AsyncGenerator[T, None],
    response_of: Callable[[T], Awaitable[Any]],
    last_response: Callable[[WatchEnded], Any],
) -> None:
    """Write a response for each event until the watch ends. Before the first one it raises ServiceError.

    Later a caller of the REST API could not see an error: then the last response tells why the watch ends.
    For HEAD the watch ends with the first response, because the caller waits only for the headers.
    """
    rest = rest_of(context)
    is_head = rest is not None and rest.is_head
    has_begun = False
    try:
        async with aclosing(events):
            async for event in events:
                check_caller_again()
                response = await response_of(event)
                has_begun = True
                await _write(context, response)
                if is_head:
                    return
    except SlowReader:
        raise
    except ServiceError as error:
        if not has_begun:
            raise
        await _write(context, last_response(WatchEnded(reason=error.reason, message=error.message)))


async def _write(context: Any, response: Any) -> None:
    """Raises SlowReader."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await context.write(response)
    except TimeoutError:
        raise SlowReader from None
