"""Watches jobs: what a stream tells. The stream is opened again where it was cut."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from job_client._gen.jobs.v1.job_service_pb2 import WatchRequest, WatchResponse
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client.backoff import Backoff
from job_client.channel import telling_of_close
from job_client.errors import JobClientError, from_call, is_transient

BEGIN_ANEW = frozenset({"HISTORY_LOST", "RESUME_TOKEN_EXPIRED"})
"""Reasons after which the latest token is of no use."""
SILENCE_SECONDS = 60.0
"""A server sends something every 15 s (setting WATCH_HEARTBEAT). After this time it counts as lost."""


async def watch(
    channel: grpc.aio.Channel, request: WatchRequest, give_up: float
) -> AsyncGenerator[WatchResponse, None]:
    """The present states, each later one, and log entries if `request` includes them. A watch of one job ends
    after its final state.

    Raises JobClientError, and TimeoutError at `give_up`.
    """
    stub: Any = JobServiceStub(channel)
    backoff, failures = Backoff(), 0
    while True:
        with telling_of_close():
            stream = _Stream(stub.Watch(request), request, give_up)
        async with aclosing(stream.news()) as news:
            async for response in news:
                yield response
        if stream.end == "JOB_ENDED":
            return
        if stream.end in BEGIN_ANEW:
            request.resume_token = ""
        failures = 0 if stream.has_answered else failures + 1
        await asyncio.sleep(backoff.wait(max(1, failures)))


class _Stream:
    """One call of Watch. Stores the latest resume token in `request`.

    `end`: why the server ended it, "" if it did not say.
    """

    def __init__(self, call: Any, request: WatchRequest, give_up: float) -> None:
        self._call = call
        self._request = request
        self._give_up = give_up
        self.end = ""
        self.has_answered = False

    async def news(self) -> AsyncGenerator[WatchResponse, None]:
        try:
            while not self.end and (response := await self._read()) is not None:
                self.has_answered = True
                self._request.resume_token = response.resume_token
                if response.HasField("ended"):
                    self.end = response.ended.reason
                elif response.HasField("job") or response.HasField("log"):
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
