"""What a worker tells of itself as a part of the fleet: what it takes, that its name is lost, that it has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.fleet_service_pb2 import HeartbeatRequest, HeartbeatResponse, RegisterWorkerResponse
from jobs.v1.worker_pb2 import Fleet, WorkerReport
from tests.unit.worker_service.control.test_heartbeat import heartbeat_of
from tests.unit.worker_service.control.test_registration import taken
from tests.unit.worker_service.job_service_fake import api_of
from worker_service.claiming.in_flight import Claimed, Claiming, InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.control import heartbeat as heartbeat_module
from worker_service.control.heartbeat import Heartbeat
from worker_service.control.registration import NameTaken
from worker_service.state.totals import Totals

DEADLINE = 20.0
TYPES = ["compute", "data"]


class Server:
    """Answers with `fleet`; registering and heartbeats go wrong as told."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.refusals: list[Callable[[Any], Any]] = []
        self.faults: list[Callable[[Any], Any]] = []
        self.heard: list[HeartbeatRequest] = []

    async def register(self, _request: Any, context: Any) -> RegisterWorkerResponse:
        if self.refusals:
            await self.refusals.pop(0)(context)
        return RegisterWorkerResponse(
            lease=Duration(seconds=60), heartbeat_interval=Duration(nanos=10**8), fleet=self.fleet
        )

    async def hear(self, request: HeartbeatRequest, context: Any) -> HeartbeatResponse:
        self.heard.append(request)
        if self.faults:
            await self.faults.pop(0)(context)
        return HeartbeatResponse(fleet=self.fleet)

    async def hears(self, holds: Callable[[WorkerReport], bool]) -> None:
        """Wait for a heartbeat whose report is such."""
        async with asyncio.timeout(DEADLINE):
            while not (self.heard and holds(self.heard[-1].report)):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def beating(
    server: Server, in_flight: InFlightJobs | None = None
) -> AsyncIterator[tuple[Heartbeat, Any]]:
    """A heartbeat and its task."""
    async with api_of({"RegisterWorker": server.register, "Heartbeat": server.hear}) as api:
        heartbeat = heartbeat_of(api, in_flight or InFlightJobs(), Totals(), tuple)
        heartbeat._identity.types[:] = TYPES
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
async def test_a_worker_is_paused_only_if_it_may_take_nothing(
    fleet: Fleet, state: "WorkerReport.State.ValueType"
) -> None:
    server = Server(fleet)
    async with beating(server):
        await server.hears(lambda report: report.fleet_revision == 3)

    assert server.heard[-1].report.state == state


@pytest.mark.parametrize(
    ("claiming", "confirmed"), [(["compute"], True), (["data"], False), (["compute", "data"], False)]
)
async def test_a_stop_of_a_type_is_confirmed_when_no_claim_of_that_type_is_under_way(
    claiming: Sequence[str], confirmed: bool
) -> None:
    server, in_flight = Server(Fleet(consuming=True, revision=1, stopped_types=["data"])), InFlightJobs()
    lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
    for job_type in claiming:
        in_flight.claiming[job_type] = Claiming(DispatchRecord(id=job_type, type=job_type), lane)
    async with beating(server, in_flight):
        async with asyncio.timeout(DEADLINE):
            while len(server.heard) < 4:
                await asyncio.sleep(0.01)

    assert server.heard[3].report.fleet_revision == (1 if confirmed else 0)


async def test_a_worker_that_the_server_does_not_know_takes_nothing_until_it_is_registered() -> None:
    server = Server(Fleet(consuming=True, revision=1))
    async with beating(server) as (heartbeat, _):
        await server.hears(lambda report: report.fleet_revision == 1)
        server.refusals = [hang]
        server.faults = [abort(grpc.StatusCode.NOT_FOUND)]
        async with asyncio.timeout(DEADLINE):
            while heartbeat.registered.is_set():
                await asyncio.sleep(0.01)
        assert not heartbeat._desired.allows("compute")

        async with asyncio.timeout(DEADLINE):
            await heartbeat.registered.wait()
        assert heartbeat._desired.allows("compute")


async def test_a_worker_whose_name_has_gone_to_one_that_lives_ends() -> None:
    server = Server(Fleet(consuming=True, revision=1))
    async with beating(server) as (heartbeat, task):
        server.refusals = [taken("12:00:00"), taken("12:00:01"), taken("12:00:02")]
        server.faults = [abort(grpc.StatusCode.NOT_FOUND)]
        with pytest.raises(NameTaken, match="process 4711 on web-1"):
            await asyncio.wait_for(asyncio.shield(task), DEADLINE)
        said = len(server.heard)

        await heartbeat.beat_for_the_last_time()

    assert len(server.heard) == said


async def test_the_last_heartbeat_says_that_nothing_is_in_hand() -> None:
    server, in_flight = Server(Fleet(consuming=True, revision=1)), InFlightJobs()
    lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
    in_flight.held["held"] = Claimed(DispatchRecord(id="held", type="compute"), lane, 1)
    async with beating(server, in_flight) as (heartbeat, task):
        await server.hears(lambda report: report.in_flight == 1)
        heartbeat.draining = True
        task.cancel()
        await asyncio.wait([task])
        in_flight.held.clear()

        await heartbeat.beat_for_the_last_time()

    last = server.heard[-1]
    assert (last.report.state, last.report.in_flight) == (WorkerReport.State.draining, 0)
    assert list(last.job_ids) == []


@pytest.mark.parametrize("fault", [hang, abort(grpc.StatusCode.UNAVAILABLE)], ids=["hangs", "is away"])
async def test_the_last_heartbeat_holds_nobody_up(
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
                await heartbeat.beat_for_the_last_time()

    assert [line["event"] for line in logs] == ["last_heartbeat_failed"]
