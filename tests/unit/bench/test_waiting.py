"""The crowd of calls that wait and watch, and what is told of its cost."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import pytest

from bench.load.crowd import WAIT, CallEnded, wait, watch
from bench.results import Sample
from bench.waiting import Pair, report
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2

STARTED = job_service_pb2.WatchResponse(started=job_service_pb2.WatchStarted())
HEARTBEAT = job_service_pb2.WatchResponse(heartbeat=job_service_pb2.WatchHeartbeat())
ENDED = job_service_pb2.WatchResponse(ended=job_service_pb2.WatchEnded(reason="SLOW_READER"))


class Stub:
    """Answers with each of these statuses and responses."""

    def __init__(self, statuses: Iterable[Any] = (), responses: Iterable[Any] = ()) -> None:
        self.waits: list[float] = []
        self._statuses = iter(statuses)
        self._responses = responses

    async def Get(self, request: job_service_pb2.GetRequest) -> job_pb2.Job:  # noqa: N802 - gRPC's name
        self.waits.append(request.wait.ToMilliseconds() / 1000)
        return job_pb2.Job(status=next(self._statuses))

    async def Watch(  # noqa: N802 - gRPC's name
        self, _request: job_service_pb2.WatchRequest
    ) -> AsyncIterator[job_service_pb2.WatchResponse]:
        for each in self._responses:
            yield each


def sample(rate: float, cpu: float) -> Sample:
    """A sample of 1,000 jobs. `cpu`: CPU seconds for all of them."""
    return Sample(1000, 500 / rate, 1000 / rate, {"api_server": cpu}, 0.0, {})


async def test_a_wait_goes_on_until_the_job_ends_and_only_the_first_one_is_shorter() -> None:
    stub = Stub([job_pb2.Job.queued, job_pb2.Job.queued, job_pb2.Job.completed])

    with pytest.raises(CallEnded, match="completed"):
        await wait(cast("Any", stub), "one", share=0.25)
    assert stub.waits == [WAIT / 4, WAIT, WAIT]


@pytest.mark.parametrize(
    ("responses", "problem"),
    [([STARTED, HEARTBEAT, ENDED], "SLOW_READER"), ([STARTED, HEARTBEAT], "has ended$")],
)
async def test_a_watch_that_ends_is_an_error(responses: list[Any], problem: str) -> None:
    started = asyncio.Event()

    with pytest.raises(CallEnded, match=problem):
        await watch(cast("Any", Stub(responses=responses)), "one", 0.0, started)
    assert started.is_set()


def test_the_cost_is_told_for_each_number_of_api_servers() -> None:
    pairs = [
        Pair(1, alone=sample(1000, cpu=1.0), crowded=sample(900, cpu=1.2), crowd_cpu_seconds=0.1),
        Pair(2, alone=sample(2000, cpu=1.0), crowded=sample(1000, cpu=2.0), crowd_cpu_seconds=0.5),
    ]

    head, _, *rows = report(pairs, waits=1000, watches=500).splitlines()

    assert "jobs/s with 1,000 waits and 500 watches" in head
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in rows] == [
        ["1", "1,000", "900", "0.90", "1.20", "0.09"],
        ["2", "2,000", "1,000", "0.50", "2.00", "0.50"],
    ]
