"""A call without an answer is sent to another server too, but not so often that it overloads slow servers."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from contract_runtime.channels import CHANNEL_OPTIONS
from contract_runtime.hedging import FAILOVER_CODES, RetryBudget, Target, hedged_call
from job_client import AsyncJobClient, channel
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import CreateRequest, GetRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from tests.unit.worker_service.job_service_fake import serving
from tests.waiting import until
from worker_service.api.client import ApiClient

SOON = 0.02
ENOUGH = 10.0
JOB_ID = "0198f0a0-0000-7000-8000-000000000001"


def failure(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


class Targets:
    """Targets that are tried in order. A test gives the answer of a call later, or at once with
    `outcomes`.
    """

    def __init__(self, *outcomes: object) -> None:
        self.calls: list[asyncio.Future[str]] = []
        self.seconds: list[float] = []
        self.recorded: list[tuple[int, bool]] = []
        self._outcomes = outcomes

    def next(self) -> Target[str]:
        number = len(self.calls)
        return Target(self._send, lambda answered: self.recorded.append((number, answered)))

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


def call(targets: Targets, budget: RetryBudget | None = None, **options: Any) -> asyncio.Task[str]:
    options = {"seconds": ENOUGH, "delay": SOON, **options}
    return asyncio.create_task(hedged_call(targets.next, budget=budget or RetryBudget(), **options))


async def test_a_call_that_is_answered_is_sent_once() -> None:
    targets = Targets("yes")
    assert await call(targets) == "yes"
    assert (len(targets.calls), targets.recorded) == (1, [(0, True)])


async def test_without_an_answer_the_next_target_is_tried_and_the_slower_call_is_cancelled() -> None:
    targets = Targets(None, "second")
    assert await call(targets) == "second"
    assert targets.recorded == [(0, False), (1, True)]
    assert targets.calls[0].cancelled()
    assert targets.seconds[1] < targets.seconds[0] <= ENOUGH


async def test_the_first_target_may_still_answer_first() -> None:
    targets = Targets()
    calling = call(targets)
    await until(lambda: len(targets.calls) == 2)
    targets.calls[0].set_result("first")
    assert await calling == "first"
    assert targets.calls[1].cancelled()
    assert targets.recorded == [(0, False), (0, True)]


@pytest.mark.parametrize("loser", [0, 1])
async def test_a_call_goes_on_while_one_of_its_attempts_is_running(loser: int) -> None:
    targets = Targets()
    calling = call(targets)
    await until(lambda: len(targets.calls) == 2)
    targets.calls[loser].set_exception(failure(grpc.StatusCode.UNAVAILABLE))
    await until(lambda: (loser, False) in targets.recorded)
    targets.calls[1 - loser].set_result("the other")
    assert await calling == "the other"


async def test_a_call_never_has_three_attempts_at_a_time() -> None:
    targets = Targets()
    calling = call(targets)
    await until(lambda: len(targets.calls) == 2)
    await asyncio.sleep(5 * SOON)
    assert len(targets.calls) == 2
    targets.calls[1].set_result("")
    await calling


@pytest.mark.parametrize("code", sorted(FAILOVER_CODES, key=str))
async def test_after_a_failure_the_next_target_is_tried_up_to_the_limit(code: grpc.StatusCode) -> None:
    targets = Targets(code, code, "third")
    assert await call(targets, max_failovers=2) == "third"
    assert targets.recorded == [(0, False), (1, False), (2, True)]

    targets = Targets(code, code, "third")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(targets, max_failovers=1)
    assert caught.value.code() is code
    assert len(targets.calls) == 2


async def test_an_error_about_the_content_is_an_answer() -> None:
    targets = Targets(grpc.StatusCode.NOT_FOUND, "no")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(targets, max_failovers=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert (len(targets.calls), targets.recorded) == (1, [(0, True)])


async def test_no_attempt_starts_when_no_time_is_left() -> None:
    targets = Targets(grpc.StatusCode.DEADLINE_EXCEEDED, "late")
    with pytest.raises(grpc.aio.AioRpcError):
        await call(targets, max_failovers=5, seconds=0.01)
    assert len(targets.calls) == 1


async def test_a_call_with_a_short_timeout_is_hedged_early_enough() -> None:
    targets = Targets(None, "second")
    assert await call(targets, seconds=0.3, delay=ENOUGH) == "second"
    assert targets.seconds[1] > 0.1


async def test_cancelling_the_call_cancels_all_attempts() -> None:
    targets = Targets()
    calling = call(targets)
    await until(lambda: len(targets.calls) == 2)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert all(call.cancelled() for call in targets.calls)


async def test_the_budget_limits_second_attempts_when_all_targets_are_slow() -> None:
    budget = RetryBudget(max_tokens=2, ratio=0.5)
    twice = []
    for _ in range(8):
        targets = Targets()
        calling = call(targets, budget)
        await until(lambda: bool(targets.calls))  # noqa: B023 - called before the next turn
        await asyncio.sleep(3 * SOON)
        targets.calls[-1].set_result("")
        await calling
        twice.append(len(targets.calls) == 2)
    # The burst of two first, then one in two.
    assert sum(twice[:4]) >= 2
    assert sum(twice[4:]) <= 2


# --- With servers that accept calls and do not answer, as a hanging one does ---


class Server:
    """Answers Get and Create, except the first `unanswered` calls."""

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


async def test_a_worker_skips_an_endpoint_that_does_not_answer(opened: AsyncExitStack) -> None:
    frozen, well = Server(unanswered=math.inf), Server(unanswered=0)
    addresses = [await served(opened, server) for server in (frozen, well)]
    api = await opened.enter_async_context(ApiClient(addresses))
    assert [(await api.get(JOB_ID, ENOUGH)).id for _ in range(5)] == [JOB_ID] * 5
    assert (frozen.calls, well.calls) == (1, 5)


async def test_a_server_behind_a_shared_name_is_ejected_when_it_does_not_answer(
    opened: AsyncExitStack,
) -> None:
    frozen, well = Server(unanswered=math.inf), Server(unanswered=0)
    addresses = ",".join([await served(opened, server) for server in (frozen, well)])
    connection = grpc.aio.insecure_channel(f"ipv4:{addresses}", options=CHANNEL_OPTIONS)
    stub = JobServiceStub(await opened.enter_async_context(connection))

    async def ten_are_answered() -> bool:
        calls = [stub.Get(GetRequest(id=JOB_ID), timeout=0.3) for _ in range(10)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        return not any(isinstance(answer, BaseException) for answer in answers)

    async with asyncio.timeout(ENOUGH):
        # Wait until both are connected, and so both are used.
        while await ten_are_answered():
            pass
        while not await ten_are_answered():
            pass


async def test_a_client_gets_its_job_when_the_first_attempt_is_not_answered(
    opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "HEDGING_DELAY", SOON)
    server = Server(unanswered=1)
    client = await opened.enter_async_context(AsyncJobClient(await served(opened, server)))
    assert (await client.submit("compute", {}, id=JOB_ID, timeout=ENOUGH)).id == JOB_ID
    assert server.calls == 2
