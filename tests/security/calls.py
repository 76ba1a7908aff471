"""Calls of any method with any headers, past the gateway."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import grpc

from contract_runtime.limits import FLEET_SERVICE, JOB_SERVICE
from contract_runtime.rest import twin_of
from contract_runtime.roles import Role, may_call

BROKEN = b"\xff"
"""No protobuf message. A call that gets as far as its request fails with INVALID_ARGUMENT, so no call of the
matrix has an effect.
"""
CALL_SECONDS = 30.0
Metadata = Sequence[tuple[str, str]]

CALLS = {
    f"{name}/{method.name}": (method, may_call(method))
    for service in (JOB_SERVICE, FLEET_SERVICE)
    for method in service.methods
    for name in ({service.full_name} | ({twin_of(service.full_name)} if service is JOB_SERVICE else set()))
}
"""Every method of the API server, by the name that a gRPC call has: natively, and as the gateway calls it for
REST.
"""


def authorization(*values: str) -> Metadata:
    return tuple(("authorization", value) for value in values)


async def code_of(channel: grpc.aio.Channel, name: str, metadata: Metadata) -> grpc.StatusCode:
    """The status of a call with a broken request."""
    method, _ = CALLS[name]
    multicallable: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = multicallable(f"/{name}")(BROKEN, metadata=metadata, timeout=CALL_SECONDS)
    code = await call.code()
    assert isinstance(code, grpc.StatusCode)
    return code


async def codes_of(address: str, metadata: Metadata) -> dict[str, grpc.StatusCode]:
    """The status of every method."""
    async with grpc.aio.insecure_channel(address) as channel:
        codes = await asyncio.gather(*(code_of(channel, name, metadata) for name in CALLS))
    return dict(zip(CALLS, codes, strict=True))


def names_for(role: Role) -> Iterable[str]:
    return {name for name, (_, roles) in CALLS.items() if role in roles}
