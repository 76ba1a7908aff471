"""How a worker ends depends on what ended it: whether the jobs that it has not finished are handed back, or lost."""

import asyncio
from typing import Any

import pytest

from jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.claiming.in_flight import Claimed, Claiming, InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.execution.outcome import Interrupted
from worker_service.kafka.watchdog import ConsumptionLost
from worker_service.state.totals import Totals
from worker_service.worker import Worker


class Parts:
    """All parts of a worker that holds one job, the one of `failing` with its failure, and what is asked of them."""

    def __init__(self, failing: str, failure: BaseException) -> None:
        self.failing = failing
        self.failure = failure
        self.asked: list[str] = []
        self.in_flight = InFlightJobs()
        self.registered = asyncio.Event()
        self.registered.set()
        self.draining = False
        lane = Lane(1, on_work=lambda: None, on_full_change=lambda: None)
        record = DispatchRecord(id="job", type="type")
        self.in_flight.begin_claiming(Claiming(record, lane))
        self.in_flight.move_to_held(Claimed(record, lane, 1))

    def part(self, name: str) -> Any:
        return _Part(self, name)

    def worker(self) -> Worker:
        names = ("heartbeat", "membership", "consumer", "committer", "claimer", "runner", "reporter")
        return Worker(
            **{name: self.part(name) for name in names},
            in_flight=self.in_flight,
            totals=Totals(),
            lanes={},
            set_serving=self.part("server").set_serving,
            stop_serving=self.part("server").stop_serving,
            drain_timeout=0.0,
            loop_timeout=15.0,
        )


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

    async def idle(self, _seconds: float) -> bool:
        return False

    async def interrupt(self, modes: set[str]) -> None:
        self._parts.asked.append(f"interrupt {'and'.join(sorted(modes))}")
        if "thread" in modes:
            for claimed in list(self._parts.in_flight.held.values()):
                self._parts.in_flight.leave(claimed)

    async def beat_for_the_last_time(self) -> None:
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
async def test_jobs_are_handed_back_by_a_worker_that_ends_of_what_is_around_it(
    failing: str, failure: Exception
) -> None:
    parts = Parts(failing, failure)
    with pytest.raises(type(failure)):
        await parts.worker().run(asyncio.Event())
    assert parts.asked == ["interrupt loopandprocess", "interrupt thread", "last heartbeat"]


@pytest.mark.parametrize("failing", ["runner", "reporter"])
async def test_jobs_are_left_to_be_lost_by_a_worker_that_ends_of_an_outcome(failing: str) -> None:
    parts = Parts(failing, KeyError("what an outcome made of it"))
    with pytest.raises(KeyError):
        await parts.worker().run(asyncio.Event())
    assert parts.asked == []
    assert list(parts.in_flight.held) == ["job"]


async def test_jobs_are_handed_back_by_a_worker_that_is_told_to_end() -> None:
    parts, stop = Parts("none", KeyError()), asyncio.Event()
    stop.set()
    await parts.worker().run(stop)
    assert parts.asked == ["interrupt loopandprocess", "interrupt thread", "last heartbeat"]
