"""A call without an answer is sent a second time, elsewhere, and not more often than servers in trouble can bear."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from contract_runtime.channels import CHANNEL_OPTIONS
from contract_runtime.second_tries import ELSEWHERE, Allowance, Place, first_answer
from job_client import JobClient, channel
from jobs.v1.job_pb2 import Job
from jobs.v1.job_service_pb2 import CreateRequest, GetRequest
from jobs.v1.job_service_pb2_grpc import JobServiceStub
from tests.unit.worker_service.job_service_fake import serving
from worker_service.api.client import ApiClient

SOON = 0.02
ENOUGH = 10.0
JOB_ID = "0198f0a0-0000-7000-8000-000000000001"


def failure(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


class Places:
    """Asked one after the other; what a call is answered, a test says later, or at once by `outcomes`."""

    def __init__(self, *outcomes: object) -> None:
        self.calls: list[asyncio.Future[str]] = []
        self.seconds: list[float] = []
        self.notes: list[tuple[int, bool]] = []
        self._outcomes = outcomes

    def next(self) -> Place[str]:
        number = len(self.calls)
        return Place(self._send, lambda answered: self.notes.append((number, answered)))

    def _send(self, seconds: float) -> asyncio.Future[str]:
        call: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        outcome = self._outcomes[len(self.calls)] if len(self.calls) < len(self._outcomes) else None
        match outcome:
            case str():
                call.set_result(outcome)
            case grpc.StatusCode():
                call.set_exception(failure(outcome))
        self.calls.append(call)
        self.seconds.append(seconds)
        return call

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(ENOUGH):
            while not holds():
                await asyncio.sleep(0.001)


def ask(places: Places, allowance: Allowance | None = None, **options: Any) -> asyncio.Task[str]:
    options = {"seconds": ENOUGH, "patience": SOON, **options}
    return asyncio.create_task(first_answer(places.next, allowance=allowance or Allowance(), **options))


async def test_a_call_that_is_answered_is_sent_once() -> None:
    places = Places("yes")
    assert await ask(places) == "yes"
    assert (len(places.calls), places.notes) == (1, [(0, True)])


async def test_without_an_answer_the_next_place_is_asked_and_the_first_call_is_withdrawn() -> None:
    places = Places(None, "second")
    assert await ask(places) == "second"
    assert places.notes == [(0, False), (1, True)]
    assert places.calls[0].cancelled()
    assert places.seconds[1] < places.seconds[0] <= ENOUGH


async def test_the_first_place_may_still_answer_first() -> None:
    places = Places()
    asking = ask(places)
    await places.until(lambda: len(places.calls) == 2)
    places.calls[0].set_result("first")
    assert await asking == "first"
    assert places.calls[1].cancelled()
    assert places.notes == [(0, False), (0, True)]


@pytest.mark.parametrize("loser", [0, 1])
async def test_while_one_try_is_under_way_the_failure_of_another_is_not_the_end(loser: int) -> None:
    places = Places()
    asking = ask(places)
    await places.until(lambda: len(places.calls) == 2)
    places.calls[loser].set_exception(failure(grpc.StatusCode.UNAVAILABLE))
    await places.until(lambda: (loser, False) in places.notes)
    places.calls[1 - loser].set_result("the other")
    assert await asking == "the other"


async def test_a_call_is_never_under_way_three_times() -> None:
    places = Places()
    asking = ask(places)
    await places.until(lambda: len(places.calls) == 2)
    await asyncio.sleep(5 * SOON)
    assert len(places.calls) == 2
    places.calls[1].set_result("")
    await asking


@pytest.mark.parametrize("code", ELSEWHERE)
async def test_a_place_that_fails_is_followed_by_the_next_as_often_as_is_said(code: grpc.StatusCode) -> None:
    places = Places(code, code, "third")
    assert await ask(places, failures=2) == "third"
    assert places.notes == [(0, False), (1, False), (2, True)]

    places = Places(code, code, "third")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(places, failures=1)
    assert caught.value.code() is code
    assert len(places.calls) == 2


async def test_a_refusal_is_an_answer() -> None:
    places = Places(grpc.StatusCode.NOT_FOUND, "no")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(places, failures=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert (len(places.calls), places.notes) == (1, [(0, True)])


async def test_with_no_time_left_nothing_is_tried() -> None:
    places = Places(grpc.StatusCode.DEADLINE_EXCEEDED, "late")
    with pytest.raises(grpc.aio.AioRpcError):
        await ask(places, failures=5, seconds=0.01)
    assert len(places.calls) == 1


async def test_a_short_call_is_sent_a_second_time_while_there_is_time_for_it() -> None:
    places = Places(None, "second")
    assert await ask(places, seconds=0.3, patience=ENOUGH) == "second"
    assert places.seconds[1] > 0.1


async def test_who_asks_and_goes_away_withdraws_all_tries() -> None:
    places = Places()
    asking = ask(places)
    await places.until(lambda: len(places.calls) == 2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert all(call.cancelled() for call in places.calls)


async def test_what_is_slow_everywhere_is_not_sent_twice_for_long() -> None:
    allowance = Allowance(most=2, share=0.5)
    twice = []
    for _ in range(8):
        places = Places()
        asking = ask(places, allowance)
        await places.until(lambda: bool(places.calls))  # noqa: B023 - called before the next turn
        await asyncio.sleep(3 * SOON)
        places.calls[-1].set_result("")
        await asking
        twice.append(len(places.calls) == 2)
    # Two at once, and then one of two.
    assert sum(twice[:4]) >= 2
    assert sum(twice[4:]) <= 2


# --- With servers that leave calls unanswered, as one that stands still does ---


class Server:
    """Answers Get and Create, but for the first `unanswered` calls."""

    def __init__(self, *, unanswered: float) -> None:
        self._unanswered = unanswered
        self.calls = 0

    async def get(self, request: GetRequest, _context: Any) -> Job:
        await self._serve()
        return Job(id=request.id, type="compute")

    async def create(self, request: CreateRequest, _context: Any) -> Job:
        await self._serve()
        return Job(id=request.id, type=request.type)

    async def _serve(self) -> None:
        self.calls += 1
        if self.calls <= self._unanswered:
            await asyncio.Event().wait()


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def served(opened: AsyncExitStack, server: Server) -> str:
    return await opened.enter_async_context(serving({"Get": server.get, "Create": server.create}))


async def test_a_worker_passes_over_an_endpoint_that_does_not_answer(opened: AsyncExitStack) -> None:
    frozen, well = Server(unanswered=math.inf), Server(unanswered=0)
    addresses = [await served(opened, server) for server in (frozen, well)]
    api = await opened.enter_async_context(ApiClient(addresses))
    assert [(await api.get(JOB_ID, ENOUGH)).id for _ in range(5)] == [JOB_ID] * 5
    assert (frozen.calls, well.calls) == (1, 5)


async def test_behind_one_name_a_server_that_does_not_answer_is_left_out(opened: AsyncExitStack) -> None:
    frozen, well = Server(unanswered=math.inf), Server(unanswered=0)
    addresses = ",".join([await served(opened, server) for server in (frozen, well)])
    connection = grpc.aio.insecure_channel(f"ipv4:{addresses}", options=CHANNEL_OPTIONS)
    stub = JobServiceStub(await opened.enter_async_context(connection))

    async def ten_are_answered() -> bool:
        calls = [stub.Get(GetRequest(id=JOB_ID), timeout=0.3) for _ in range(10)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        return not any(isinstance(answer, BaseException) for answer in answers)

    async with asyncio.timeout(ENOUGH):
        # Both are used, once both are connected.
        while await ten_are_answered():
            pass
        while not await ten_are_answered():
            pass


async def test_a_client_hears_of_its_job_when_the_first_call_is_not_answered(
    opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "PATIENCE", SOON)
    server = Server(unanswered=1)
    client = await opened.enter_async_context(JobClient(await served(opened, server)))
    assert (await client.create("compute", {}, job_id=JOB_ID, timeout=ENOUGH)).id == JOB_ID
    assert server.calls == 2
