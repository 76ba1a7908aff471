"""Unary calls that go alone: repeated after transient errors if the contract says that this is safe."""

import asyncio
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from contract_runtime.limits import repeats_of, seconds
from job_client.backoff import Backoff
from job_client.channel import HEDGING_DELAY, hedged, telling_of_close
from job_client.errors import DeadlineExceeded, JobClientError, from_call, is_transient

CALL_SECONDS = 12.0
"""The deadline of one call, longer than the server's own, so that the server's error arrives."""


class UnaryCalls:
    """The unary calls of one service on a channel."""

    def __init__(self, channel: grpc.aio.Channel, service: ServiceDescriptor, stub: Any) -> None:
        self._service = service
        self._plain, self._hedged = stub(channel), stub(hedged(channel))
        self._backoff = Backoff()
        self._now = asyncio.get_running_loop().time

    async def call(self, name: str, request: Any, give_up: float) -> Any:
        """The response. Raises JobClientError.

        A call that is not safe to repeat is sent again only if the server asks for it, which says that the
        call had no effect.
        """
        repeats = repeats_of(self._service.methods_by_name[name])
        is_hedged = (
            repeats is not None and repeats.hedged and seconds(repeats.attempt_timeout) <= HEDGING_DELAY
        )
        send = getattr(self._hedged if is_hedged else self._plain, name)
        failures, last = 0, None
        while (left := give_up - self._now()) > 0:
            try:
                with telling_of_close():
                    return await send(request, timeout=min(CALL_SECONDS, left))
            except grpc.aio.AioRpcError as failure:
                last = from_call(failure)
            if not is_transient(last) or (repeats is None and last.retry_delay is None):
                raise last
            failures += 1
            pause = self._backoff.wait(failures, last.retry_delay or 0.0)
            await asyncio.sleep(max(0.0, min(pause, give_up - self._now())))
        raise _timeout(name, last) from last


def _timeout(name: str, last: JobClientError | None) -> DeadlineExceeded:
    answer = f"; the last answer was {last}" if last else ""
    return DeadlineExceeded(f"{name}: the timeout is over{answer}", reason="CLIENT_DEADLINE_EXCEEDED")
