"""Whether a worker that ends releases its unfinished jobs or leaves them to be lost depends on the cause."""

import asyncio
from typing import Any

import pytest

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from tests.unit.worker_service.worker_fakes import worker_state
from worker_service.claiming.in_flight import Claimed, Claiming
from worker_service.execution.outcome import Interrupted
from worker_service.kafka.watchdog import ConsumptionLost
from worker_service.worker import JobPath, Worker


class Parts:
    """All parts of a worker that holds one job. The part `failing` fails. `asked`: what was asked of them."""

    def __init__(self, failing: str, failure: BaseException) -> None:
        self.failing = failing
        self.failure = failure
        self.asked: list[str] = []
        self.state = worker_state({"loop": 1})
        self.in_flight = self.state.in_flight
        self.registered = asyncio.Event()
        self.registered.set()
        self.draining = False
        lane = self.state.lanes["loop"]
        record = DispatchRecord(id="job", type="type")
        self.in_flight.begin_claiming(Claiming(record, lane))
        self.in_flight.move_to_held(Claimed(record, lane, 1))

    def part(self, name: str) -> Any:
        return _Part(self, name)

    def worker(self) -> Worker:
        path = JobPath(*map(self.part, ("consumer", "committer", "claimer", "runner", "reporter", "logs")))
        heartbeat, membership, server = map(self.part, ("heartbeat", "membership", "server"))
        return Worker(self.state, path, heartbeat, membership, server, drain_timeout=0.0, loop_timeout=15.0)


class _Part:
    def __init__(self, parts: Parts, name: str) -> None:
        self._parts = parts
        self._name = name
        self.registered = parts.registered

    async def run(self, *_arguments: Any) -> None:
        if self._name == self._parts.failing:
            raise self._parts.failure
        await asyncio.Event().wait()

    async def watch(self, _limit: float) -> None:
        await asyncio.Event().wait()

    async def wait_idle(self, _seconds: float) -> bool:
        return False

    async def interrupt(self, modes: set[str]) -> None:
        self._parts.asked.append(f"interrupt {'and'.join(sorted(modes))}")
        if "thread" in modes:
            for claimed in list(self._parts.in_flight.held.values()):
                self._parts.in_flight.remove(claimed)

    async def send_last(self) -> None:
        self._parts.asked.append("last heartbeat")

    def put(self, _claimed: Claimed, outcome: object) -> None:
        assert outcome == Interrupted()

    async def flush(self, *_arguments: Any) -> bool:
        return True

    async def _nothing(self, *_arguments: Any) -> None:
        return

    def __getattr__(self, name: str) -> Any:
        return (lambda: None) if (self._name, name) == ("claimer", "close") else self._nothing


@pytest.mark.parametrize(
    ("failing", "failure"),
    [("membership", ConsumptionLost("no poll")), ("committer", KeyError("c")), ("claimer", KeyError("c"))],
)
async def test_a_worker_that_ends_because_of_kafka_or_claiming_releases_its_jobs(
    failing: str, failure: Exception
) -> None:
    parts = Parts(failing, failure)
    with pytest.raises(type(failure)):
        await parts.worker().run(asyncio.Event())
    assert parts.asked == ["interrupt loopandprocess", "interrupt thread", "last heartbeat"]


@pytest.mark.parametrize("failing", ["runner", "reporter"])
async def test_a_worker_that_ends_because_of_an_outcome_leaves_its_jobs_to_be_lost(failing: str) -> None:
    parts = Parts(failing, KeyError("caused by an outcome"))
    with pytest.raises(KeyError):
        await parts.worker().run(asyncio.Event())
    assert parts.asked == []
    assert list(parts.in_flight.held) == ["job"]


async def test_a_worker_that_is_asked_to_end_releases_its_jobs() -> None:
    parts, stop = Parts("none", KeyError()), asyncio.Event()
    stop.set()
    await parts.worker().run(stop)
    assert parts.asked == ["interrupt loopandprocess", "interrupt thread", "last heartbeat"]
