"""A heartbeat follows a failed one soon, tells all that a lease may hang on, and survives every fault."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.fleet_service_pb2 import HeartbeatRequest, HeartbeatResponse, RegisterWorkerResponse
from jobs.v1.worker_pb2 import WorkerIdentity
from tests.unit.worker_service.job_service_fake import api_of
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed, Claiming, InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.control.heartbeat import Heartbeat
from worker_service.execution.progress_board import ProgressBoard
from worker_service.handler_api.progress import ProgressUpdate
from worker_service.kafka.offsets import Partition
from worker_service.state.desired_fleet import DesiredFleet
from worker_service.state.totals import Totals

DEADLINE = 20.0
LEASE = 2
LONG_INTERVAL = 3600


class Server:
    """Wants a heartbeat an hour, unless told otherwise, and treats the first ones as it is told."""

    def __init__(self, *faults: Callable[[Any], Any]) -> None:
        self._faults = list(faults)
        self.heard: list[HeartbeatRequest] = []
        self.time_left: list[float] = []
        self.answered = asyncio.Event()
        self.interval = LONG_INTERVAL
        self.stop_job_ids: list[str] = []

    async def register(self, _request: Any, _context: Any) -> RegisterWorkerResponse:
        return RegisterWorkerResponse(
            lease=Duration(seconds=LEASE), heartbeat_interval=Duration(seconds=self.interval)
        )

    async def hear(self, request: HeartbeatRequest, context: Any) -> HeartbeatResponse:
        self.heard.append(request)
        self.time_left.append(context.time_remaining())
        if self._faults:
            await self._faults.pop(0)(context)
        self.answered.set()
        return HeartbeatResponse(stop_job_ids=self.stop_job_ids)


def heartbeat_of(
    api: ApiClient,
    in_flight: InFlightJobs,
    totals: Totals,
    assignment: Callable[[], Collection[Partition]],
    board: ProgressBoard | None = None,
    give_up: Callable[[Claimed], None] = lambda _: None,
) -> Heartbeat:
    desired = DesiredFleet("test", lambda: None)
    claimer = Claimer(
        "test/1",
        StatusUpdates(api),
        [],
        in_flight,
        desired,
        totals,
        wake=asyncio.Event(),
        backoff=Backoff(),
        finish=lambda _: None,
        start=lambda _: None,
        give_up=lambda _: None,
        on_trouble_change=lambda: None,
    )
    identity = WorkerIdentity(worker_id="test/1", name="test")
    return Heartbeat(
        identity,
        api,
        in_flight,
        desired,
        totals,
        claimer,
        board or ProgressBoard(),
        give_up=give_up,
        assignment=assignment,
        backoff=Backoff(),
    )


async def beat_until_answered(
    server: Server,
    in_flight: InFlightJobs | None = None,
    totals: Totals | None = None,
    assignment: Callable[[], Collection[Partition]] = tuple,
    board: ProgressBoard | None = None,
    give_up: Callable[[Claimed], None] = lambda _: None,
    seen: Callable[[], bool] = lambda: True,
) -> None:
    """`seen`: whether what the test waits for has come about."""
    async with api_of({"RegisterWorker": server.register, "Heartbeat": server.hear}) as api:
        heartbeat = heartbeat_of(
            api, in_flight or InFlightJobs(), totals or Totals(), assignment, board, give_up
        )
        beating = asyncio.create_task(heartbeat.run())
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
    server, in_flight = Server(), InFlightJobs()
    lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
    in_flight.held["held"] = Claimed(DispatchRecord(id="held"), lane, 1)
    in_flight.claiming["claiming"] = Claiming(DispatchRecord(id="claiming"), lane)
    await beat_until_answered(server, in_flight)

    assert list(server.heard[0].job_ids) == ["held", "claiming"]
    assert server.heard[0].report.in_flight == 2


async def test_only_jobs_still_in_hand_by_the_claim_that_was_told_are_given_up() -> None:
    server, in_flight = Server(), InFlightJobs()
    lane = Lane(9, on_work=lambda: None, on_full_change=lambda: None)

    def claimed(job_id: str, attempt: int = 1) -> Claimed:
        return Claimed(DispatchRecord(id=job_id), lane, attempt)

    in_flight.held = {name: claimed(name) for name in ("goes on", "reported", "claimed anew", "cancelled")}
    in_flight.claiming["claiming"] = Claiming(DispatchRecord(id="claiming"), lane)
    server.stop_job_ids = ["strange", "claiming", "reported", "claimed anew", "cancelled"]
    cancelled, given_up = in_flight.held["cancelled"], list[Claimed]()

    async def change(_context: Any) -> None:
        del in_flight.held["reported"], in_flight.claiming["claiming"]
        in_flight.held |= {"claimed anew": claimed("claimed anew", 2), "claiming": claimed("claiming")}

    server._faults.append(change)
    await beat_until_answered(server, in_flight, give_up=given_up.append, seen=lambda: bool(given_up))

    assert given_up == [cancelled]


async def test_what_jobs_said_is_carried_once_the_heartbeat_gets_through() -> None:
    server, board = Server(abort(grpc.StatusCode.UNAVAILABLE)), ProgressBoard()
    server.interval = 1
    board.open("job", 3).say(ProgressUpdate(50, "half"))

    await beat_until_answered(server, board=board, seen=lambda: len(server.heard) == 3)

    told = [
        [(word.job_id, word.attempt, word.progress.percent, word.progress.message) for word in beat.progress]
        for beat in server.heard
    ]
    assert told == [[("job", 3, 50, "half")], [("job", 3, 50, "half")], []]


async def test_a_thousand_words_go_with_a_heartbeat_and_the_rest_with_the_next() -> None:
    server, board = Server(), ProgressBoard()
    server.interval = 1
    for number in range(1500):
        board.open(str(number), 1).say(ProgressUpdate(1, ""))

    await beat_until_answered(server, board=board, seen=lambda: len(server.heard) == 2)

    assert [len(beat.progress) for beat in server.heard] == [1000, 500]
    assert {word.job_id for beat in server.heard for word in beat.progress} == set(map(str, range(1500)))
