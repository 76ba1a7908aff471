"""How the benchmark spreads jobs over time and over callers."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from bench.load.callers import by_callers
from bench.load.latency import JobTookTooLong, WrongResult, in_tasks, in_threads, pause
from bench.load.stub_load import waited
from bench.work import digest, text
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2

SLOW = 0.1


class Stub:
    """Ends the job with the last of `statuses`, and answers one call with each."""

    def __init__(self, *statuses: Any) -> None:
        self.calls: list[job_service_pb2.CreateRequest | job_service_pb2.GetRequest] = []
        self._statuses = iter(statuses)

    async def Create(self, request: job_service_pb2.CreateRequest) -> job_pb2.Job:  # noqa: N802 - gRPC's name
        return self._answer(request)

    async def Get(self, request: job_service_pb2.GetRequest) -> job_pb2.Job:  # noqa: N802 - gRPC's name
        return self._answer(request)

    def _answer(self, request: job_service_pb2.CreateRequest | job_service_pb2.GetRequest) -> job_pb2.Job:
        self.calls.append(request)
        job = job_pb2.Job(id="one", status=next(self._statuses))
        job.result["hash"] = "its hash"
        return job


async def slow_at_first(job_text: str) -> str:
    """A system that is slow with the first job only."""
    await asyncio.sleep(SLOW if job_text == text(7) else 0)
    return digest(job_text)


async def test_a_slow_job_does_not_delay_the_next_ones() -> None:
    found = await in_tasks(slow_at_first, first=7, jobs=10, rate=1000)

    assert found.jobs == 10
    assert found.p50 < SLOW * 1000 <= found.p99


def test_a_job_that_waits_for_a_thread_has_waited_since_it_was_due() -> None:
    def blocking(job_text: str) -> str:
        time.sleep(SLOW)
        return digest(job_text)

    # The ninth job waits until one of eight threads is free.
    found = in_threads(blocking, first=0, jobs=9, rate=1000)

    assert found.p50 >= SLOW * 1000
    assert found.p99 >= 2 * SLOW * 1000 - 10


async def test_a_wrong_result_ends_the_measurement() -> None:
    async def wrong(_job_text: str) -> str:
        return "nonsense"

    with pytest.raises(WrongResult, match="'nonsense'"):
        await in_tasks(wrong, first=0, jobs=1, rate=1000)
    with pytest.raises(WrongResult, match="'nonsense'"):
        in_threads(lambda _: "nonsense", first=0, jobs=1, rate=1000)


@pytest.mark.parametrize(("waited_for", "expected"), [(0.0, 0.002), (0.04, 0.002), (1.0, 0.05)])
def test_a_job_that_takes_long_is_read_less_often(waited_for: float, expected: float) -> None:
    assert pause(waited_for) == pytest.approx(expected)


async def test_create_with_wait_needs_one_call() -> None:
    stub = Stub(job_pb2.Job.completed)

    assert await waited(cast("Any", stub), text(1)) == "its hash"
    [create] = stub.calls
    assert create.HasField("wait")


async def test_a_job_that_has_not_ended_is_waited_for_again() -> None:
    stub = Stub(job_pb2.Job.queued, job_pb2.Job.processing, job_pb2.Job.completed)

    assert await waited(cast("Any", stub), text(1)) == "its hash"
    assert [call.HasField("wait") for call in stub.calls] == [True] * 3


async def test_a_failed_job_ends_the_measurement() -> None:
    with pytest.raises(JobTookTooLong, match="failed"):
        await waited(cast("Any", Stub(job_pb2.Job.failed)), text(1))


async def test_callers_share_the_clients_and_create_each_job_once() -> None:
    numbers: list[int] = []
    at_a_time: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def client(name: str) -> Callable[[int], Awaitable[None]]:
        async def create(number: int) -> None:
            numbers.append(number)
            at_a_time[name] += 1
            most[name] = max(most[name], at_a_time[name])
            await asyncio.sleep(0)
            at_a_time[name] -= 1

        return create

    submitted = await by_callers([client("a"), client("b")], first=100, jobs=50, callers=6)

    assert submitted.jobs == 50
    assert sorted(numbers) == list(range(100, 150))
    assert most == {"a": 3, "b": 3}
