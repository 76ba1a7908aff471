"""The connection to the API servers."""

from collections.abc import Awaitable
from typing import Any, TypeVar, cast

import grpc

from contract_runtime.channels import CHANNEL_OPTIONS
from contract_runtime.hedging import RetryBudget, Target, hedged_call

HEDGING_DELAY = 2.0
"""Seconds without an answer after which a call is sent a second time.

If the address is a gateway, or a name with several addresses, the second call reaches another server if there
is one.
"""
T = TypeVar("T")


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """`address`: host:port; the host may be a name with several addresses.

    Without credentials nothing is encrypted.
    Use the channel only for calls that are safe to repeat: it sends a call that gets no answer a second time.
    """
    target = f"dns:///{address}"
    if credentials is None:
        channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
    else:
        channel = grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
    return cast("grpc.aio.Channel", _HedgedChannel(channel))


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
