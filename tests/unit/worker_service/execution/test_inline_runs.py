"""Plain handlers run on the loop one after the other, and let async handlers run in between."""

import asyncio
from collections.abc import Callable

import pytest

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.claiming.in_flight import Claimed
from worker_service.claiming.lanes import Lane
from worker_service.execution import inline_runs
from worker_service.execution.inline_runs import InlineRuns
from worker_service.execution.outcome import Interrupted, Outcome
from worker_service.execution.running_handler import RunningHandler

LANE = Lane(1, on_work=lambda: None, on_full_change=lambda: None)


def job(job_id: str) -> Claimed:
    return Claimed(DispatchRecord(id=job_id, type="compute"), LANE, 1)


class OneLoop:
    """A handlers' loop that is also the worker's loop."""

    def call(self, function: Callable[..., None]) -> None:
        asyncio.get_running_loop().call_soon(function)

    def call_soon(self, function: Callable[[], None]) -> None:
        self.call(function)

    def answer(self, function: Callable[..., None], *args: object) -> None:
        function(*args)

    def enter(self, handler: RunningHandler | None) -> None:
        """Not needed: no test asks which handler runs."""


class Runs:
    """Runs jobs that each take `seconds` by its own clock."""

    def __init__(self, seconds: float) -> None:
        self.ran: list[str] = []
        self._seconds = seconds
        self._now = 0.0
        self.ended: list[tuple[str, Outcome | None]] = []
        self.inline: InlineRuns[None] = InlineRuns(
            OneLoop(), run_job=self._run, end_job=self._end, fail_job=self._end, clock=lambda: self._now
        )
        self.before: Callable[[Claimed], None] = lambda _: None

    def _end(self, claimed: Claimed, outcome: Outcome | None) -> None:
        self.ended.append((claimed.id, outcome))

    def _run(self, claimed: Claimed) -> None:
        self._now += self._seconds
        self.ran.append(claimed.id)
        self.before(claimed)


@pytest.mark.parametrize(("slices", "ran"), [(0.99, 2), (1.01, 1)])
async def test_other_callbacks_get_their_turn_after_a_slice(slices: float, ran: int) -> None:
    runs = Runs(inline_runs.SLICE_SECONDS * slices)
    for name in "abc":
        runs.inline.add(job(name))
    assert runs.ran == []

    await asyncio.sleep(0)
    assert len(runs.ran) == ran

    await runs.inline.idle()
    assert runs.ran == ["a", "b", "c"]


async def test_a_removed_job_is_not_run() -> None:
    runs = Runs(0)
    kept, removed = job("kept"), job("removed")
    runs.inline.add(removed)
    runs.inline.add(kept)

    assert runs.inline.remove(removed)
    assert not runs.inline.remove(removed)
    await runs.inline.idle()

    assert runs.ran == ["kept"]
    assert not runs.inline.remove(kept)


async def test_no_job_is_run_when_all_were_removed() -> None:
    runs = Runs(0)
    first, second, third = job("1"), job("2"), job("3")
    for each in (first, second, third):
        runs.inline.add(each)
    runs.inline.remove(second)

    assert runs.inline.remove_all() == [first, third]
    await runs.inline.idle()

    assert runs.ran == []


async def test_a_running_job_can_add_another_job() -> None:
    runs = Runs(0)
    runs.before = lambda claimed: runs.inline.add(job("b")) if claimed.id == "a" else None
    runs.inline.add(job("a"))

    await runs.inline.idle()

    assert runs.ran == ["a", "b"]


async def test_a_fault_is_raised_and_the_other_jobs_are_run() -> None:
    runs = Runs(0)

    def fail(claimed: Claimed) -> None:
        if claimed.id == "a":
            raise RuntimeError("a fault")

    runs.before = fail
    running = asyncio.create_task(runs.inline.run())
    await asyncio.sleep(0)
    for name in "ab":
        runs.inline.add(job(name))

    with pytest.raises(RuntimeError, match="a fault"):
        await running
    await runs.inline.idle()
    assert runs.ran == ["a", "b"]


async def test_a_job_that_was_failed_while_it_ran_ends_only_once() -> None:
    runs = Runs(0)
    runs.before = lambda claimed: runs.inline.fail_all(Interrupted()) if claimed.id == "a" else None
    for name in "abc":
        runs.inline.add(job(name))

    await runs.inline.idle()
    await asyncio.sleep(0.01)

    assert runs.ran == ["a"]
    assert sorted(runs.ended) == [(name, Interrupted()) for name in "abc"]


async def test_a_job_that_is_removed_by_the_job_before_it_is_not_run() -> None:
    runs = Runs(0)
    first, second = job("1"), job("2")

    def remove(claimed: Claimed) -> None:
        assert runs.inline.remove(second) == (claimed is first)

    runs.before = remove
    runs.inline.add(first)
    runs.inline.add(second)

    await runs.inline.idle()

    assert (runs.ran, runs.ended) == (["1"], [("1", None)])
