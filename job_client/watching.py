"""Watches jobs and operations: what a stream tells. The stream is opened again where it was cut."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from job_client._gen.jobs.v1.job_service_pb2 import (
    Operation,
    WatchOperationRequest,
    WatchRequest,
    WatchResponse,
)
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client.backoff import Backoff
from job_client.channel import telling_of_close
from job_client.errors import JobClientError, from_call, is_transient

BEGIN_ANEW = frozenset({"HISTORY_LOST", "RESUME_TOKEN_EXPIRED"})
"""Reasons after which the latest token is of no use."""
SILENCE_SECONDS = 60.0
"""A server sends something every 15 s (setting WATCH_HEARTBEAT). After this time it counts as lost."""


FINAL = frozenset({"JOB_ENDED", "OPERATION_ENDED"})
"""Reasons after which there is nothing more to tell."""


async def watch(
    channel: grpc.aio.Channel, request: WatchRequest, give_up: float
) -> AsyncGenerator[WatchResponse, None]:
    """The present states, each later one, and log entries if `request` includes them. A watch of one job ends
    after its final state.

    Raises JobClientError, and TimeoutError at `give_up`.
    """
    stub: Any = JobServiceStub(channel)
    async with aclosing(_news(stub.Watch, request, give_up)) as news:
        async for response in news:
            if response.HasField("job") or response.HasField("log"):
                yield response


async def watch_operation(
    channel: grpc.aio.Channel, request: WatchOperationRequest, give_up: float
) -> AsyncGenerator[Operation, None]:
    """The present state and each later one, until the operation has ended.

    Raises JobClientError, and TimeoutError at `give_up`.
    """
    stub: Any = JobServiceStub(channel)
    async with aclosing(_news(stub.WatchOperation, request, give_up)) as news:
        async for response in news:
            if response.HasField("operation"):
                yield response.operation


async def _news(send: Any, request: Any, give_up: float) -> AsyncGenerator[Any, None]:
    """The responses of a watch but its end. A stream that is cut is opened again."""
    backoff, failures = Backoff(), 0
    while True:
        with telling_of_close():
            stream = _Stream(send(request), request, give_up)
        async with aclosing(stream.news()) as news:
            async for response in news:
                yield response
        if stream.end in FINAL:
            return
        if stream.end in BEGIN_ANEW and isinstance(request, WatchRequest):
            request.resume_token = ""
        failures = 0 if stream.has_answered else failures + 1
        await asyncio.sleep(backoff.wait(max(1, failures)))


class _Stream:
    """One call that watches. Stores the latest resume token in `request`, if the call has such tokens.

    `end`: why the server ended it, "" if it did not say.
    """

    def __init__(self, call: Any, request: Any, give_up: float) -> None:
        self._call = call
        self._request = request
        self._give_up = give_up
        self.end = ""
        self.has_answered = False

    async def news(self) -> AsyncGenerator[Any, None]:
        try:
            while not self.end and (response := await self._read()) is not None:
                self.has_answered = True
                if isinstance(self._request, WatchRequest):
                    self._request.resume_token = response.resume_token
                if response.HasField("ended"):
                    self.end = response.ended.reason
                else:
                    yield response
        except grpc.aio.AioRpcError as failure:
            self.end = _resumable(from_call(failure)).reason
        finally:
            self._call.cancel()

    async def _read(self) -> Any:
        """The next response; None at the end, and after a silence that is too long."""
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(min(now() + SILENCE_SECONDS, self._give_up)):
                with telling_of_close():
                    response = await self._call.read()
        except TimeoutError:
            if now() >= self._give_up:
                raise
            return None
        return None if response is grpc.aio.EOF else response


def _resumable(error: JobClientError) -> JobClientError:
    """The error. Raises it if the watch cannot go on after it."""
    if is_transient(error) or error.reason in {*BEGIN_ANEW, "SLOW_READER"}:
        return error
    raise error
