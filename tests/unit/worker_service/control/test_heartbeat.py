"""A failed heartbeat is followed by another one soon.

A heartbeat names all jobs in flight, and no fault ends it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
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
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed, Claiming
from worker_service.claiming.lanes import Lane
from worker_service.claiming.worker_state import WorkerState
from worker_service.control.heartbeat import Heartbeat
from worker_service.execution.progress_board import ProgressBoard
from worker_service.handler_api.progress import ProgressUpdate
from worker_service.kafka.offsets import Partition
from worker_service.kafka.ports import Assignment

DEADLINE = 20.0
LEASE = 2
LONG_INTERVAL = 3600


class Server:
    """Wants one heartbeat an hour by default. `faults` decide how it treats the first heartbeats."""

    def __init__(self, *faults: Callable[[Any], Any]) -> None:
        self._faults = list(faults)
        self.received: list[HeartbeatRequest] = []
        self.time_left: list[float] = []
        self.answered = asyncio.Event()
        self.interval = LONG_INTERVAL
        self.stop_job_ids: list[str] = []
        self.untaken_types: list[str] = []

    async def register(self, _request: Any, _context: Any) -> RegisterWorkerResponse:
        return RegisterWorkerResponse(
            lease=Duration(seconds=LEASE),
            heartbeat_interval=Duration(seconds=self.interval),
            untaken_types=self.untaken_types,
        )

    async def receive(self, request: HeartbeatRequest, context: Any) -> HeartbeatResponse:
        self.received.append(request)
        self.time_left.append(context.time_remaining())
        if self._faults:
            await self._faults.pop(0)(context)
        self.answered.set()
        return HeartbeatResponse(stop_job_ids=self.stop_job_ids)


class Partitions(Assignment):
    """A consumer without partitions. It first raises `faults`, one for each question."""

    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)

    def assignment(self) -> frozenset[Partition]:
        if self._faults:
            raise self._faults.pop(0)
        return frozenset()


@dataclass
class Parts:
    """What a heartbeat is made of. A test sets what it needs."""

    state: WorkerState = field(default_factory=worker_state)
    board: ProgressBoard = field(default_factory=ProgressBoard)
    jobs: JobsTaken = field(default_factory=JobsTaken)
    consumer: Assignment = field(default_factory=Partitions)

    def heartbeat(self, api: ApiClient) -> Heartbeat:
        claimer = Claimer(self.state, StatusUpdates(api), self.jobs, RecordsTaken(), Backoff())
        return Heartbeat(self.state, api, claimer, self.jobs, self.board, self.consumer, Backoff())


async def beat_until_answered(
    server: Server, parts: Parts | None = None, seen: Callable[[], bool] = lambda: True
) -> None:
    """Send heartbeats until one is answered and `seen` is true."""
    async with api_of({"RegisterWorker": server.register, "Heartbeat": server.receive}) as api:
        beating = asyncio.create_task((parts or Parts()).heartbeat(api).run())
        try:
            async with asyncio.timeout(DEADLINE):
                await server.answered.wait()
                while not seen():
                    await asyncio.sleep(0.01)
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

    assert len(server.received) == 3


async def test_a_heartbeat_waits_for_a_quarter_of_the_lease_at_most() -> None:
    server = Server()
    await beat_until_answered(server)

    # gRPC rounds a time limit up.
    assert server.time_left[0] < LEASE / 4 + 0.1


async def test_a_fault_of_the_worker_itself_does_not_end_its_heartbeats() -> None:
    with capture_logs() as logs:
        await beat_until_answered(Server(), Parts(consumer=Partitions(RuntimeError("a fault"))))

    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["heartbeat_failed"]


async def test_a_total_too_large_for_the_contract_is_sent_as_the_largest_value() -> None:
    server, parts = Server(), Parts()
    parts.state.totals.completed, parts.state.totals.failed = 2**31, 2**40
    await beat_until_answered(server, parts)

    report = server.received[0].report
    assert (report.completed_total, report.failed_total) == (2**31 - 1, 2**31 - 1)


async def test_a_heartbeat_names_held_jobs_and_jobs_whose_claim_has_no_answer_yet() -> None:
    server, parts = Server(), Parts()
    in_flight = parts.state.in_flight
    lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
    in_flight.held["held"] = Claimed(DispatchRecord(id="held"), lane, 1)
    in_flight.claiming["claiming"] = Claiming(DispatchRecord(id="claiming"), lane)
    await beat_until_answered(server, parts)

    assert list(server.received[0].job_ids) == ["held", "claiming"]
    assert server.received[0].report.in_flight == 2


async def test_only_jobs_still_held_by_the_claim_that_the_heartbeat_named_are_given_up() -> None:
    server, parts = Server(), Parts()
    in_flight = parts.state.in_flight
    lane = Lane(9, on_work=lambda: None, on_full_change=lambda: None)

    def claimed(job_id: str, attempt: int = 1) -> Claimed:
        return Claimed(DispatchRecord(id=job_id), lane, attempt)

    in_flight.held = {name: claimed(name) for name in ("goes on", "reported", "claimed again", "cancelled")}
    in_flight.claiming["claiming"] = Claiming(DispatchRecord(id="claiming"), lane)
    server.stop_job_ids = ["unknown", "claiming", "reported", "claimed again", "cancelled"]
    cancelled = in_flight.held["cancelled"]

    async def change(_context: Any) -> None:
        del in_flight.held["reported"], in_flight.claiming["claiming"]
        in_flight.held |= {"claimed again": claimed("claimed again", 2), "claiming": claimed("claiming")}

    server._faults.append(change)
    await beat_until_answered(server, parts, seen=lambda: bool(parts.jobs.given_up))

    assert parts.jobs.given_up == [cancelled]


async def test_progress_is_sent_again_until_a_heartbeat_succeeds() -> None:
    server, parts = Server(abort(grpc.StatusCode.UNAVAILABLE)), Parts()
    server.interval = 1
    parts.board.open("job", 3).update(ProgressUpdate(50, "half"))

    await beat_until_answered(server, parts, seen=lambda: len(server.received) == 3)

    sent = [
        [(each.job_id, each.attempt, each.progress.percent, each.progress.message) for each in beat.progress]
        for beat in server.received
    ]
    assert sent == [[("job", 3, 50, "half")], [("job", 3, 50, "half")], []]


async def test_a_heartbeat_carries_a_thousand_progress_updates_and_the_next_one_the_rest() -> None:
    server, parts = Server(), Parts()
    server.interval = 1
    for number in range(1500):
        parts.board.open(str(number), 1).update(ProgressUpdate(1, ""))

    await beat_until_answered(server, parts, seen=lambda: len(server.received) == 2)

    assert [len(beat.progress) for beat in server.received] == [1000, 500]
    assert {each.job_id for beat in server.received for each in beat.progress} == set(map(str, range(1500)))


async def test_types_that_the_api_server_does_not_take_are_logged_and_known() -> None:
    server, parts = Server(), Parts()
    server.untaken_types = ["email"]
    with capture_logs() as logs:
        await beat_until_answered(server, parts)

    [line] = [line for line in logs if line["event"] == "job_types_not_taken"]
    assert (line["log_level"], line["types"]) == ("warning", ["email"])
    assert parts.state.untaken_types == {"email"}


async def test_a_heartbeat_names_the_types_without_a_free_slot() -> None:
    server = Server()
    parts = Parts(state=worker_state({"loop": 1}, lane_names={"email": "loop"}))
    parts.state.lanes["loop"].hold()
    await beat_until_answered(server, parts)

    assert list(server.received[0].report.busy_types) == ["email"]
