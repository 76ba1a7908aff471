"""What a worker reports as a member of the fleet: its state, that its name is lost, that it has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.fleet_service_pb2 import (
    HeartbeatRequest,
    HeartbeatResponse,
    RegisterWorkerResponse,
)
from job_client._gen.jobs.v1.worker_pb2 import Fleet, WorkerReport
from tests.unit.worker_service.control.test_heartbeat import Parts
from tests.unit.worker_service.control.test_registration import taken
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import worker_state
from worker_service.claiming.in_flight import Claimed, Claiming
from worker_service.claiming.lanes import Lane
from worker_service.claiming.worker_state import WorkerState
from worker_service.control import heartbeat as heartbeat_module
from worker_service.control.heartbeat import Heartbeat
from worker_service.control.registration import NameTaken

DEADLINE = 20.0
TYPES = ["compute", "data"]


class Server:
    """Answers with `fleet`.

    `refusals` and `faults` are for the next calls to register and the next heartbeats.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.refusals: list[Callable[[Any], Any]] = []
        self.faults: list[Callable[[Any], Any]] = []
        self.received: list[HeartbeatRequest] = []

    async def register(self, _request: Any, context: Any) -> RegisterWorkerResponse:
        if self.refusals:
            await self.refusals.pop(0)(context)
        return RegisterWorkerResponse(
            lease=Duration(seconds=60), heartbeat_interval=Duration(nanos=10**8), fleet=self.fleet
        )

    async def receive(self, request: HeartbeatRequest, context: Any) -> HeartbeatResponse:
        self.received.append(request)
        if self.faults:
            await self.faults.pop(0)(context)
        return HeartbeatResponse(fleet=self.fleet)

    async def receives(self, holds: Callable[[WorkerReport], bool]) -> None:
        """Wait for a heartbeat with such a report."""
        async with asyncio.timeout(DEADLINE):
            while not (self.received and holds(self.received[-1].report)):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def beating(server: Server, state: WorkerState | None = None) -> AsyncIterator[tuple[Heartbeat, Any]]:
    """A heartbeat and its task."""
    parts = Parts(state or worker_state())
    parts.state.identity.types[:] = TYPES
    async with api_of({"RegisterWorker": server.register, "Heartbeat": server.receive}) as api:
        heartbeat = parts.heartbeat(api)
        task = asyncio.create_task(heartbeat.run())
        try:
            async with asyncio.timeout(DEADLINE):
                await heartbeat.registered.wait()
            yield heartbeat, task
        finally:
            task.cancel()
            await asyncio.wait([task])


async def hang(_context: Any) -> None:
    await asyncio.Event().wait()


def abort(code: grpc.StatusCode) -> Callable[[Any], Any]:
    return lambda context: context.abort(code, "a fault")


@pytest.mark.parametrize(
    ("fleet", "state"),
    [
        (Fleet(consuming=True, revision=3), WorkerReport.State.consuming),
        (Fleet(consuming=True, revision=3, stopped_types=["data"]), WorkerReport.State.consuming),
        (Fleet(consuming=True, revision=3, stopped_workers=["other"]), WorkerReport.State.consuming),
        (Fleet(consuming=True, revision=3, stopped_types=TYPES), WorkerReport.State.paused),
        (Fleet(consuming=True, revision=3, stopped_workers=["test"]), WorkerReport.State.paused),
        (Fleet(consuming=False, revision=3), WorkerReport.State.paused),
    ],
)
async def test_a_worker_is_paused_only_if_it_may_take_no_job_at_all(
    fleet: Fleet, state: "WorkerReport.State.ValueType"
) -> None:
    server = Server(fleet)
    async with beating(server):
        await server.receives(lambda report: report.fleet_revision == 3)

    assert server.received[-1].report.state == state


@pytest.mark.parametrize(
    ("claiming", "confirmed"), [(["compute"], True), (["data"], False), (["compute", "data"], False)]
)
async def test_a_stop_of_a_type_is_confirmed_when_no_claim_of_that_type_is_under_way(
    claiming: Sequence[str], confirmed: bool
) -> None:
    server, state = Server(Fleet(consuming=True, revision=1, stopped_types=["data"])), worker_state()
    lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
    for job_type in claiming:
        state.in_flight.claiming[job_type] = Claiming(DispatchRecord(id=job_type, type=job_type), lane)
    async with beating(server, state):
        async with asyncio.timeout(DEADLINE):
            while len(server.received) < 4:
                await asyncio.sleep(0.01)

    assert server.received[3].report.fleet_revision == (1 if confirmed else 0)


async def test_a_worker_that_the_server_does_not_know_takes_no_job_until_it_is_registered() -> None:
    server, state = Server(Fleet(consuming=True, revision=1)), worker_state()
    async with beating(server, state) as (heartbeat, _):
        await server.receives(lambda report: report.fleet_revision == 1)
        server.refusals = [hang]
        server.faults = [abort(grpc.StatusCode.NOT_FOUND)]
        async with asyncio.timeout(DEADLINE):
            while heartbeat.registered.is_set():
                await asyncio.sleep(0.01)
        assert not state.desired.allows("compute")

        async with asyncio.timeout(DEADLINE):
            await heartbeat.registered.wait()
        assert state.desired.allows("compute")


async def test_a_worker_ends_when_a_live_process_has_taken_its_name() -> None:
    server = Server(Fleet(consuming=True, revision=1))
    async with beating(server) as (heartbeat, task):
        server.refusals = [taken("12:00:00"), taken("12:00:01"), taken("12:00:02")]
        server.faults = [abort(grpc.StatusCode.NOT_FOUND)]
        with pytest.raises(NameTaken, match="process 4711 on web-1"):
            await asyncio.wait_for(asyncio.shield(task), DEADLINE)
        sent = len(server.received)

        await heartbeat.send_last()

    assert len(server.received) == sent


async def test_the_last_heartbeat_reports_no_job_in_flight() -> None:
    server, state = Server(Fleet(consuming=True, revision=1)), worker_state()
    lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
    state.in_flight.held["held"] = Claimed(DispatchRecord(id="held", type="compute"), lane, 1)
    async with beating(server, state) as (heartbeat, task):
        await server.receives(lambda report: report.in_flight == 1)
        heartbeat.draining = True
        task.cancel()
        await asyncio.wait([task])
        state.in_flight.held.clear()

        await heartbeat.send_last()

    last = server.received[-1]
    assert (last.report.state, last.report.in_flight) == (WorkerReport.State.draining, 0)
    assert list(last.job_ids) == []


@pytest.mark.parametrize("fault", [hang, abort(grpc.StatusCode.UNAVAILABLE)], ids=["hangs", "is away"])
async def test_a_failing_last_heartbeat_delays_nothing(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(heartbeat_module, "LAST_SECONDS", 0.1)
    server = Server(Fleet(consuming=True, revision=1))
    async with beating(server) as (heartbeat, task):
        task.cancel()
        await asyncio.wait([task])
        server.faults = [fault] * 5
        with capture_logs() as logs:
            async with asyncio.timeout(1):
                await heartbeat.send_last()

    assert [line["event"] for line in logs] == ["last_heartbeat_failed"]
