"""Sends calls as bytes, valid or not, and returns the answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from local_stack.stack import Stack
from tests.fuzz.calls import SERVICES, Call, NativeCall, RestCall, Way

PATIENCE = 20.0
"""Seconds for one call. More than the deadlines of servers and gateway."""
OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True)
class NativeAnswer:
    code: grpc.StatusCode
    message: str = ""
    status: Status | None = None
    """The status with its details. None if there is none or if it contradicts code and message."""
    raw: bytes = b""

    @property
    def outcome(self) -> str:
        return self.code.name


@dataclass(frozen=True)
class RestAnswer:
    status: int
    content_type: str
    grpc_status: str | None
    body: bytes

    @property
    def outcome(self) -> str:
        return str(self.status)


Answer = NativeAnswer | RestAnswer


class Sender:
    """Made by `sender`."""

    def __init__(
        self, channels: dict[tuple[str, Way], grpc.aio.Channel], clients: dict[str, httpx.AsyncClient]
    ) -> None:
        self._channels = channels
        self._clients = clients

    async def send(self, calls: Sequence[Call]) -> list[Answer]:
        """Send all calls at the same time. Returns the answers in order."""
        return await asyncio.gather(*(self._send(call) for call in calls))

    async def _send(self, call: Call) -> Answer:
        return await (self._natively(call) if isinstance(call, NativeCall) else self._by_rest(call))

    async def _natively(self, call: NativeCall) -> NativeAnswer:
        channel: Any = self._channels[call.method.containing_service.name, call.way]
        answering = channel.unary_unary(call.path)(call.raw, timeout=PATIENCE, metadata=call.metadata)
        try:
            return NativeAnswer(grpc.StatusCode.OK, raw=await answering)
        except grpc.aio.AioRpcError as error:
            return NativeAnswer(error.code(), error.details() or "", _status_of(error))

    async def _by_rest(self, call: RestCall) -> RestAnswer:
        client = self._clients[call.service.name]
        # The target is sent unchanged. httpx would correct a path in the URL.
        request = client.build_request(
            call.verb,
            "/",
            headers=list(call.headers),
            content=call.body,
            extensions={"target": call.target},
        )
        answer = await client.send(request)
        return RestAnswer(
            answer.status_code,
            answer.headers.get("content-type", ""),
            answer.headers.get("grpc-status"),
            answer.content,
        )


def _status_of(error: grpc.aio.AioRpcError) -> Status | None:
    try:
        return rpc_status.from_call(error)
    except ValueError:
        return None


@asynccontextmanager
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    """A sender to both ports of the gateway and to the servers themselves."""
    jobs, fleet, workers = (service.name for service in SERVICES)
    addresses = {
        (jobs, Way.GATEWAY): stack.endpoints.jobs_address,
        (jobs, Way.SERVER): stack.address("api_server"),
        (fleet, Way.SERVER): stack.address("api_server"),
        (workers, Way.GATEWAY): stack.endpoints.workers_address,
        (workers, Way.SERVER): stack.address("worker"),
    }
    urls = {jobs: stack.endpoints.jobs_url, workers: stack.endpoints.workers_url}
    async with AsyncExitStack() as opened:
        channels = {
            key: await opened.enter_async_context(grpc.aio.insecure_channel(address, options=OPTIONS))
            for key, address in addresses.items()
        }
        clients = {
            name: await opened.enter_async_context(
                httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False)
            )
            for name, url in urls.items()
        }
        yield Sender(channels, clients)
