"""A heartbeat follows a failed one soon, tells all that a lease may hang on, and survives every fault."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.job_service_pb2 import (
    HeartbeatRequest,
    HeartbeatResponse,
    RegisterWorkerResponse,
)
from jobs.v1.worker_pb2 import WorkerIdentity
from tests.unit.job_service_fake import api_of
from worker_service.api_client import ApiClient
from worker_service.backoff import Backoff
from worker_service.claims import Claimer
from worker_service.fleet import FleetWish
from worker_service.hand import Claimed, Claiming, Hand
from worker_service.heartbeat import Heartbeat
from worker_service.lanes import Lane
from worker_service.offsets import Partition
from worker_service.totals import Totals
from worker_service.updates import StatusUpdates

DEADLINE = 20.0
LEASE = 2
LONG_INTERVAL = 3600


class Server:
    """Wants a heartbeat an hour, and treats the first ones as it is told."""

    def __init__(self, *faults: Callable[[Any], Any]) -> None:
        self._faults = list(faults)
        self.heard: list[HeartbeatRequest] = []
        self.time_left: list[float] = []
        self.answered = asyncio.Event()

    async def register(self, _request: Any, _context: Any) -> RegisterWorkerResponse:
        return RegisterWorkerResponse(
            lease=Duration(seconds=LEASE), heartbeat_interval=Duration(seconds=LONG_INTERVAL)
        )

    async def hear(self, request: HeartbeatRequest, context: Any) -> HeartbeatResponse:
        self.heard.append(request)
        self.time_left.append(context.time_remaining())
        if self._faults:
            await self._faults.pop(0)(context)
        self.answered.set()
        return HeartbeatResponse()


def heartbeat_of(
    api: ApiClient,
    hand: Hand,
    totals: Totals,
    assignment: Callable[[], Collection[Partition]],
) -> Heartbeat:
    wish = FleetWish("test", lambda: None)
    claimer = Claimer(
        "test/1",
        StatusUpdates(api),
        [],
        hand,
        wish,
        totals,
        wake=asyncio.Event(),
        backoff=Backoff(),
        finish=lambda _: None,
        start=lambda _: None,
        give_up=lambda _: None,
        on_trouble_change=lambda: None,
    )
    identity = WorkerIdentity(worker_id="test/1", name="test")
    return Heartbeat(identity, api, hand, wish, totals, claimer, assignment=assignment, backoff=Backoff())


async def beat_until_answered(
    server: Server,
    hand: Hand | None = None,
    totals: Totals | None = None,
    assignment: Callable[[], Collection[Partition]] = tuple,
) -> None:
    async with api_of({"RegisterWorker": server.register, "Heartbeat": server.hear}) as api:
        beating = asyncio.create_task(heartbeat_of(api, hand or Hand(), totals or Totals(), assignment).run())
        try:
            async with asyncio.timeout(DEADLINE):
                await server.answered.wait()
            assert not beating.done()
        finally:
            beating.cancel()
            await asyncio.wait([beating])


async def hang(_context: Any) -> None:
    await asyncio.Event().wait()


def abort(code: grpc.StatusCode) -> Callable[[Any], Any]:
    return lambda context: context.abort(code, "a fault")


@pytest.mark.parametrize(
    "fault",
    [
        hang,
        abort(grpc.StatusCode.UNAVAILABLE),
        abort(grpc.StatusCode.INTERNAL),
        abort(grpc.StatusCode.NOT_FOUND),
    ],
    ids=["no answer", "unavailable", "internal", "not registered"],
)
async def test_a_failed_heartbeat_is_followed_by_another_long_before_the_interval(
    fault: Callable[[Any], Any],
) -> None:
    server = Server(fault, fault)
    await beat_until_answered(server)

    assert len(server.heard) == 3


async def test_a_heartbeat_waits_for_a_part_of_the_lease_only() -> None:
    server = Server()
    await beat_until_answered(server)

    # gRPC rounds a time limit up on its way.
    assert server.time_left[0] < LEASE / 4 + 0.1


async def test_a_fault_of_the_worker_itself_does_not_end_its_heartbeats() -> None:
    faults = [RuntimeError("a fault")]

    def assignment() -> Collection[Partition]:
        if faults:
            raise faults.pop()
        return ()

    with capture_logs() as logs:
        await beat_until_answered(Server(), assignment=assignment)

    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["heartbeat_failed"]


async def test_a_total_too_large_for_the_contract_is_told_as_the_largest() -> None:
    server = Server()
    await beat_until_answered(server, totals=Totals(completed=2**31, failed=2**40))

    report = server.heard[0].report
    assert (report.completed_total, report.failed_total) == (2**31 - 1, 2**31 - 1)


async def test_jobs_whose_claim_has_no_answer_yet_are_told_with_those_in_hand() -> None:
    server, hand = Server(), Hand()
    lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
    hand.held["held"] = Claimed(DispatchRecord(id="held"), lane, 1)
    hand.claiming["claiming"] = Claiming(DispatchRecord(id="claiming"), lane)
    await beat_until_answered(server, hand)

    assert list(server.heard[0].job_ids) == ["held", "claiming"]
