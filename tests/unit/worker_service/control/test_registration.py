"""A worker waits for the name of a dead process, and leaves the name of a live one alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from job_client._gen.jobs.v1.fleet_service_pb2 import RegisterWorkerResponse
from job_client._gen.jobs.v1.worker_pb2 import Fleet, WorkerIdentity
from tests.unit.worker_service.job_service_fake import api_of
from worker_service.api.backoff import Backoff
from worker_service.control.registration import ASK_AGAIN_SECONDS, NameTaken, register

IDENTITY = WorkerIdentity(worker_id="name/2", name="name")
DEADLINE = 20.0
Answer = Callable[[Any], Any]


def taken(last_heartbeat: str, worker_id: str = "name/1") -> Answer:
    """A refusal: the name has a holder, with this time of its last heartbeat."""

    async def refuse(context: Any) -> None:
        metadata = {
            "worker_id": worker_id,
            "host": "web-1",
            "pid": "4711",
            "last_heartbeat_time": last_heartbeat,
        }
        status = Status(code=grpc.StatusCode.ALREADY_EXISTS.value[0], message="taken")
        status.details.add().Pack(ErrorInfo(reason="WORKER_NAME_TAKEN", domain="jobs.v1", metadata=metadata))
        await context.abort_with_status(rpc_status.to_status(status))

    return refuse


def abort(code: grpc.StatusCode) -> Answer:
    return lambda context: context.abort(code, "a fault")


class Server:
    """Gives these refusals, one for each call. Then it registers."""

    def __init__(self, *refusals: Answer) -> None:
        self._refusals = list(refusals)
        self.asked: list[float] = []

    async def register(self, _request: Any, context: Any) -> RegisterWorkerResponse:
        self.asked.append(asyncio.get_running_loop().time())
        if self._refusals:
            await self._refusals.pop(0)(context)
        return RegisterWorkerResponse(fleet=Fleet(revision=7))


async def register_with(server: Server) -> RegisterWorkerResponse:
    async with api_of({"RegisterWorker": server.register}) as api, asyncio.timeout(DEADLINE):
        return await register(IDENTITY, api, Backoff(first=0.01))


async def test_registration_is_repeated_until_the_silent_holder_of_the_name_counts_as_dead() -> None:
    server = Server(*[taken("12:00:00")] * 4)

    answer = await register_with(server)

    assert answer.fleet.revision == 7
    waits = [after - before for before, after in zip(server.asked, server.asked[1:], strict=False)]
    assert len(waits) == 4
    assert min(waits) >= ASK_AGAIN_SECONDS


@pytest.mark.parametrize(
    "answers",
    [
        [taken("12:00:01"), taken("12:00:01"), taken("12:00:02")],
        [taken("12:00:00", worker_id="name/3")],
        [taken("12:00:01"), taken("12:00:01", worker_id="name/3")],
    ],
    ids=["two heartbeats", "another newcomer was faster", "another newcomer was faster after all"],
)
async def test_a_live_holder_keeps_its_name(answers: list[Answer]) -> None:
    server = Server(taken("12:00:00"), taken("12:00:00"), *answers, taken("12:00:09"))

    with pytest.raises(NameTaken, match="'name' is the name of a worker that runs: process 4711 on web-1"):
        await register_with(server)

    assert len(server.asked) == 2 + len(answers)


async def test_a_last_heartbeat_that_was_stored_late_is_no_sign_of_life() -> None:
    server = Server(taken("12:00:00"), *[taken("12:00:01")] * 4)

    await register_with(server)

    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ALREADY_EXISTS,
    ],
)
async def test_a_failed_call_between_two_refusals_is_no_sign_of_life_of_the_holder(
    code: grpc.StatusCode,
) -> None:
    server = Server(abort(code), taken("12:00:00"), abort(code), taken("12:00:00"))

    await register_with(server)

    assert len(server.asked) == 5
