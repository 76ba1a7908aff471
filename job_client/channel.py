"""The connection to the servers."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import grpc

from contract_runtime.channels import CHANNEL_OPTIONS
from contract_runtime.hedging import RetryBudget, Target, hedged_call
from job_client.connection import Connection
from job_client.errors import ClientClosed

HEDGING_DELAY = 2.0
"""Seconds without an answer after which a call is sent a second time.

If the address is a gateway, or a name with several addresses, the second call reaches another server if there
is one.
"""
T = TypeVar("T")


@contextmanager
def telling_of_close() -> Iterator[None]:
    """Raise ClientClosed if the channel is closed during a call.

    grpc.aio raises CancelledError then, as if the caller itself were cancelled, and UsageError for a new
    call.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    except grpc.aio.UsageError:
        pass
    else:
        return
    raise ClientClosed("the client was closed during the call")


def open_channel(connection: Connection) -> grpc.aio.Channel:
    """A channel whose calls carry the connection's token. The host may be a name with several addresses."""
    target = f"dns:///{connection.address.target}"
    if connection.credentials is None:
        channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
    else:
        channel = grpc.aio.secure_channel(target, connection.credentials, options=CHANNEL_OPTIONS)
    if not connection.metadata:
        return channel
    return cast("grpc.aio.Channel", _AuthorizedChannel(channel, connection.metadata))


def hedged(channel: grpc.aio.Channel) -> grpc.aio.Channel:
    """The same channel for calls that are safe to repeat: a call without an answer is sent a second time."""
    return cast("grpc.aio.Channel", _HedgedChannel(channel))


class _AuthorizedChannel:
    """The part of a channel that generated stubs use; adds metadata to each call."""

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        self._channel = channel
        self._metadata = metadata

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        return self._with_metadata(self._channel.unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        return self._with_metadata(self._channel.unary_stream(*arguments, **options))

    def _with_metadata(self, send: Any) -> Any:
        def call(request: Any, *, metadata: tuple[tuple[str, str], ...] = (), **options: Any) -> Any:
            return send(request, metadata=(*self._metadata, *metadata), **options)

        return call

    def __getattr__(self, name: str) -> Any:
        """All other methods are the channel's."""
        return getattr(self._channel, name)


class _HedgedChannel:
    """The part of a channel that generated stubs use."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._budget = RetryBudget()

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """Like a channel's method, but its calls can only be awaited and take only `timeout`."""
        send: Any = self._channel.unary_unary(*arguments, **options)

        def call(request: T, *, timeout: float) -> Awaitable[Any]:
            server: Target[Any] = Target(lambda left: send(request, timeout=left))
            return hedged_call(lambda: server, timeout, self._budget, delay=HEDGING_DELAY)

        return call

    def __getattr__(self, name: str) -> Any:
        """All other methods are the channel's."""
        return getattr(self._channel, name)
