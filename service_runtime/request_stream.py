"""What the servicer of a request stream reads from: every message is decoded and checked when it is read.

The end of the stream does not mean that it is complete. If the caller cancels the call, gRPC first reports
the end of the stream and then cancels the servicer. A servicer that must not act on half a stream needs an
end mark among its messages.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from contract_runtime.errors import invalid


class RequestStreamContext:
    """gRPC's context of a call; `read` returns a valid message, or grpc.aio.EOF after the last one."""

    def __init__(self, context: Any, decode: Callable[[bytes], Awaitable[Any]]) -> None:
        """`decode(raw)` returns the message, or raises ServiceError."""
        self._context = context
        self._decode = decode

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        """The next message. Raises ServiceError if it is not a valid one."""
        raw = await self._context.read()
        return raw if raw is grpc.aio.EOF else await self._decode(raw)


class RequestStream:
    """The same messages for `async for`."""

    def __init__(self, context: RequestStreamContext) -> None:
        self._context = context

    def __aiter__(self) -> "RequestStream":
        return self

    async def __anext__(self) -> Any:
        message = await self._context.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message


async def only_message(context: Any) -> Any:
    """The bytes of a single request. Raises InvalidArgument if it does not come as a whole."""
    raw = await context.read()
    if raw is grpc.aio.EOF:
        raise invalid("", "request.whole", "the request ends before its message does")
    return raw
