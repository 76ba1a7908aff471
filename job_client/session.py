"""Whether a client is open, in which process and event loop, and its deadlines."""

import asyncio
import math
import os
from typing import Any

import grpc

from contract_runtime.limits import WORKER_SERVICE
from job_client._gen.jobs.v1.worker_service_pb2_grpc import WorkerServiceStub
from job_client.calls import Calls, Limits
from job_client.channel import open_channel
from job_client.connection import connection
from job_client.errors import ClientClosed, JobClientError, Unavailable
from job_client.fields import seconds, type_name
from job_client.forks import FORKS, forked
from job_client.unary import UnaryCalls

TIMEOUT = 30.0
"""Seconds for which a call without an answer is repeated, unless the caller gives another `timeout`."""
CONNECT_SECONDS = 2.0
"""Seconds for which the first call waits for a server."""
FIRST_LOOK, LONGEST_LOOK = 0.001, 0.05


class Session:
    """An open client has Calls, and a channel to the workers' port after the first call there."""

    def __init__(
        self,
        address: Any,
        control_address: Any,
        token: Any,
        credentials: Any,
        timeouts: tuple[Any, Any],
        limits: Any,
    ) -> None:
        """`timeouts`: of a call, and of the first connection."""
        self._connection = connection(address, control_address, token, credentials)
        self._timeout = seconds("timeout", timeouts[0])
        self._connect_timeout = seconds("connect_timeout", timeouts[1])
        if not isinstance(limits, Limits | None):
            raise TypeError(f"limits must be Limits, is of type {type_name(limits)}")
        self._limits = (limits or Limits()).of_a_batcher
        self._open: Calls | None = None
        self._control: tuple[grpc.aio.Channel, UnaryCalls] | None = None
        self._reached: set[grpc.aio.Channel] = set()

    @property
    def is_open(self) -> bool:
        return self._open is not None

    def open(self) -> None:
        """Raises JobClientError in a process that was forked while gRPC was in use, and if it is open."""
        FORKS.check()
        if self._open is not None:
            self._check(self._open)
            return
        self._open = Calls(self._connection, self._limits)
        FORKS.add(self._open)

    async def close(self) -> None:
        # In a forked process even closing the channel would hang.
        if self._open is None or self._open.process != os.getpid():
            return
        self._check(self._open)
        opened, self._open = self._open, None
        control, self._control = self._control, None
        self._reached.clear()
        await opened.close()
        if control is not None:
            await control[0].close()
        FORKS.remove(opened)

    async def calls(self) -> Calls:
        """The calls of the jobs port. Raises JobClientError if no server can be reached at first."""
        opened = self._opened()
        if opened.channel not in self._reached:
            await self._reach(opened.channel, self._connection.address.target, "address or JOBS_URL")
        return opened

    async def control(self) -> UnaryCalls:
        """The calls of the workers' port."""
        self._opened()
        target = self._connection.for_control()
        if self._control is None:
            channel = open_channel(target)
            self._control = channel, UnaryCalls(channel, WORKER_SERVICE, WorkerServiceStub)
        channel, calls = self._control
        if channel not in self._reached:
            await self._reach(channel, target.address.target, "control_address or JOBS_CONTROL_URL")
        return calls

    def give_up(self, timeout: float | None) -> float:
        return asyncio.get_running_loop().time() + self.seconds(timeout)

    def forever(self, timeout: float | None) -> float:
        """As `give_up`, but None means no limit."""
        return math.inf if timeout is None else self.give_up(timeout)

    def seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else seconds("timeout", timeout)

    def _opened(self) -> Calls:
        if self._open is None:
            raise ClientClosed(
                "the client is not open; use it as `async with AsyncJobClient(…) as client`, or call open()"
            )
        self._check(self._open)
        return self._open

    def _check(self, opened: Calls) -> None:
        if opened.process != os.getpid():
            raise forked(
                f"this client was opened in process {opened.process}, and this process was forked from it"
            )
        if opened.loop is not asyncio.get_running_loop():
            raise JobClientError(
                "this client was opened in another event loop; open a client in each event loop (asyncio.run "
                "makes a new one each time), or use JobClient, which needs none",
                code=grpc.StatusCode.FAILED_PRECONDITION,
                reason="CLIENT_OTHER_LOOP",
            )

    async def _reach(self, channel: grpc.aio.Channel, target: str, setting: str) -> None:
        """Wait until the channel has been connected once.

        After that calls are repeated while servers are away. At first it is more likely that the address is
        wrong. The state is looked at again and again, because a wait for its change cannot be cancelled.
        """
        clock = asyncio.get_running_loop().time
        end, look = clock() + self._connect_timeout, FIRST_LOOK
        while channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            if clock() >= end:
                tls = "with TLS" if self._connection.credentials is not None else "without TLS"
                raise Unavailable(
                    f"no server answers at {target} {tls}; check that it runs (`make up` starts one on this "
                    f"machine) and that the {setting} is right",
                    reason="CLIENT_CANNOT_CONNECT",
                )
            await asyncio.sleep(look)
            look = min(look * 2, LONGEST_LOOK)
        self._reached.add(channel)
