"""Calls to the API servers. A call avoids an endpoint that has failed in the last few seconds."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from contract_runtime.channels import CHANNEL_OPTIONS
from contract_runtime.credentials import bearer
from contract_runtime.hedging import HEDGING_DELAY, Call, RetryBudget, Target, hedged_call
from contract_runtime.limits import FLEET_SERVICE, attempt_seconds
from contract_runtime.status_details import call_status
from job_client._gen.jobs.v1.fleet_service_pb2 import (
    GetFleetRequest,
    GetFleetResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    RegisterWorkerRequest,
    RegisterWorkerResponse,
    SetFleetRequest,
    SetFleetResponse,
)
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceStub
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusRequest,
    BatchUpdateStatusResponse,
    GetRequest,
)
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client._gen.jobs.v1.log_pb2 import AppendLogRequest, AppendLogResponse
from worker_service.api.errors import ApiCallFailed

if TYPE_CHECKING:
    from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceAsyncStub
    from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceAsyncStub

SESSION_HEADER = "worker-session"
AVOID_SECONDS = 5.0
SET_FLEET_DELAY = attempt_seconds(FLEET_SERVICE.methods_by_name["SetFleet"])
Metadata = tuple[tuple[str, str], ...]
T = TypeVar("T")


class Endpoints:
    """Picks the numbers 0 to `count` - 1 in turn, without those that failed in the last AVOID_SECONDS."""

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._avoid_until = [0.0] * count
        self._clock = clock
        self._last = -1

    def __len__(self) -> int:
        return len(self._avoid_until)

    def pick(self) -> int:
        """The next number. If all have failed lately, the one that failed first."""
        now = self._clock()
        count = len(self._avoid_until)
        turn = [(self._last + 1 + step) % count for step in range(count)]
        self._last = min(turn, key=lambda index: max(self._avoid_until[index], now))
        return self._last

    def avoid(self, index: int) -> None:
        """A call to this endpoint has just failed."""
        self._avoid_until[index] = self._clock() + AVOID_SECONDS

    def note(self, index: int, answered: bool) -> None:
        if answered:
            self.trust(index)
        else:
            self.avoid(index)

    def trust(self, index: int) -> None:
        """A call to this endpoint has just succeeded."""
        self._avoid_until[index] = 0.0


class Stubs:
    """The services of one API server."""

    jobs: "JobServiceAsyncStub"
    fleet: "FleetServiceAsyncStub"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.jobs = JobServiceStub(channel)
        self.fleet = FleetServiceStub(channel)


class ApiClient:
    """Calls of JobService and FleetService. Each is safe to send again, and raises ApiCallFailed.

    `wait` is the time limit of the whole call, in seconds. Within it, the client also asks the other
    endpoints when one is unavailable or gives no answer for a while.
    """

    def __init__(self, addresses: Sequence[str], token: str = "", session: str = "") -> None:
        """`addresses`: host:port each. A host may be a DNS name with several addresses.

        `token`: the worker's; "" if the servers ask for none. `session`: the secret of the worker that calls;
        "": it does not act in the name of a worker.
        """
        own = ((SESSION_HEADER, session),) if session else ()
        self._metadata = (*bearer(token), *own)
        self._channels = [
            grpc.aio.insecure_channel(f"dns:///{address}", options=CHANNEL_OPTIONS) for address in addresses
        ]
        self._stubs = [Stubs(channel) for channel in self._channels]
        self._endpoints = Endpoints(len(self._stubs))
        self._budget = RetryBudget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for channel in self._channels:
            await channel.close()

    async def get(self, job_id: str, wait: float) -> Job:
        request = GetRequest(id=job_id)
        return await self._call(
            lambda stubs, left: stubs.jobs.Get(request, timeout=left, metadata=self._metadata), wait
        )

    async def batch_update_status(
        self, request: BatchUpdateStatusRequest, wait: float
    ) -> BatchUpdateStatusResponse:
        return await self._call(
            lambda stubs, left: stubs.jobs.BatchUpdateStatus(request, timeout=left, metadata=self._metadata),
            wait,
        )

    async def register_worker(self, request: RegisterWorkerRequest, wait: float) -> RegisterWorkerResponse:
        return await self._call(
            lambda stubs, left: stubs.fleet.RegisterWorker(request, timeout=left, metadata=self._metadata),
            wait,
        )

    async def heartbeat(self, request: HeartbeatRequest, wait: float) -> HeartbeatResponse:
        return await self._call(
            lambda stubs, left: stubs.fleet.Heartbeat(request, timeout=left, metadata=self._metadata), wait
        )

    async def append_log(self, request: AppendLogRequest, wait: float) -> AppendLogResponse:
        return await self._call(
            lambda stubs, left: stubs.fleet.AppendLog(request, timeout=left, metadata=self._metadata), wait
        )

    async def set_fleet(
        self, request: SetFleetRequest, wait: float, authorization: Metadata = ()
    ) -> SetFleetResponse:
        """`authorization`: that of the operator who calls. The worker's own token is not for others."""
        return await self._call(
            lambda stubs, left: stubs.fleet.SetFleet(request, timeout=left, metadata=authorization),
            wait,
            SET_FLEET_DELAY,
        )

    async def get_fleet(self, wait: float, authorization: Metadata = ()) -> GetFleetResponse:
        """`authorization`: as for set_fleet."""
        return await self._call(
            lambda stubs, left: stubs.fleet.GetFleet(GetFleetRequest(), timeout=left, metadata=authorization),
            wait,
        )

    async def _call(
        self,
        call: Callable[[Stubs, float], Call[T]],
        wait: float,
        delay: float = HEDGING_DELAY,
    ) -> T:
        def next_target() -> Target[T]:
            index = self._endpoints.pick()
            return Target(partial(call, self._stubs[index]), partial(self._endpoints.note, index))

        # One more failure than there are endpoints: several servers may share one DNS name.
        failures = len(self._endpoints)
        try:
            return await hedged_call(next_target, wait, self._budget, max_failovers=failures, delay=delay)
        except grpc.aio.AioRpcError as error:
            raise ApiCallFailed(call_status(error)) from error
