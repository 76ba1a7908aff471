"""Offsets are committed soon, many together, and at once when a partition is revoked.

A commit that fails is repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from structlog.testing import capture_logs

from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.kafka.committer import CommitFailed, Committer, PartitionsLost
from worker_service.kafka.offsets import OffsetTracker, Partition

DEADLINE = 20.0
PARTITION = Partition("jobs.compute", 0)


class Offsets:
    """A committer and its store. `faults` decide how the store treats the next commits."""

    def __init__(self) -> None:
        self.stored: list[Mapping[Partition, int]] = []
        self.faults: list[Callable[[], Awaitable[None]]] = []
        self.assigned = frozenset([PARTITION])
        self.tracker = OffsetTracker()
        self.tracker.assign(PARTITION)
        self.committer = Committer(self.tracker, Backoff(first=0.01))

    def assignment(self) -> frozenset[Partition]:
        return self.assigned

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self.faults:
            await self.faults.pop(0)()
        self.stored.append(offsets)

    def finish(self, offset: int) -> None:
        ticket = self.tracker.begin(PARTITION, offset)
        assert ticket is not None
        self.committer.finish(ticket)


@pytest.fixture
def offsets() -> Offsets:
    return Offsets()


@pytest.fixture
async def running(offsets: Offsets) -> AsyncIterator[None]:
    """Commits until the test ends."""
    running = asyncio.create_task(offsets.committer.run(offsets))
    yield
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.usefixtures("running")
async def test_records_finished_within_a_moment_are_committed_together(offsets: Offsets) -> None:
    for offset in range(5):
        offsets.finish(offset)
        await asyncio.sleep(0)
    assert offsets.stored == []

    await until(lambda: bool(offsets.stored))
    assert offsets.stored == [{PARTITION: 5}]


async def test_a_flush_commits_at_once_and_each_offset_only_once(offsets: Offsets) -> None:
    offsets.finish(0)

    await offsets.committer.flush(offsets, DEADLINE)
    await offsets.committer.flush(offsets, DEADLINE)

    assert offsets.stored == [{PARTITION: 1}]


@pytest.mark.usefixtures("running")
async def test_a_commit_that_failed_is_repeated(offsets: Offsets) -> None:
    async def fail() -> None:
        raise CommitFailed("no broker")

    offsets.faults = [fail]
    with capture_logs() as logs:
        offsets.finish(0)
        await until(lambda: bool(offsets.stored))

    assert offsets.stored == [{PARTITION: 1}]
    assert [(line["event"], line["problem"]) for line in logs] == [("commit_failed", "no broker")]


@pytest.mark.usefixtures("running")
async def test_offsets_of_lost_partitions_are_not_committed_again(offsets: Offsets) -> None:
    async def lose() -> None:
        raise PartitionsLost("a rebalance")

    offsets.faults = [lose]
    with capture_logs() as logs:
        offsets.finish(0)
        await until(lambda: bool(logs))

    assert [(line["event"], line["partitions"]) for line in logs] == [("partitions_lost", 1)]
    assert offsets.tracker.due() == []
    assert offsets.tracker.begin(PARTITION, 1) is None


async def test_only_offsets_of_assigned_partitions_are_committed(offsets: Offsets) -> None:
    offsets.finish(0)
    offsets.assigned = frozenset()
    await offsets.committer.flush(offsets, DEADLINE)
    assert offsets.stored == []

    offsets.assigned = frozenset([PARTITION])
    await offsets.committer.flush(offsets, DEADLINE)
    assert offsets.stored == [{PARTITION: 1}]


async def test_a_commit_waits_until_the_one_before_it_has_ended(offsets: Offsets) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await go_on.wait()

    offsets.faults = [wait]
    offsets.finish(0)
    first = asyncio.create_task(offsets.committer.flush(offsets, DEADLINE))
    await begun.wait()
    offsets.finish(1)
    second = asyncio.create_task(offsets.committer.flush(offsets, DEADLINE))
    for _ in range(10):  # turns of the loop, in which it would commit if it did not wait
        await asyncio.sleep(0)
    assert offsets.stored == []

    go_on.set()
    await asyncio.gather(first, second)
    assert offsets.stored == [{PARTITION: 1}, {PARTITION: 2}]


@pytest.mark.parametrize(
    ("seconds", "problem"),
    [(DEADLINE, "no broker"), (0.01, "no answer within 0.01 s")],
    ids=["fails", "hangs"],
)
async def test_a_flush_that_fails_raises_nothing_and_its_offsets_stay_due(
    offsets: Offsets, seconds: float, problem: str
) -> None:
    async def fail() -> None:
        if seconds < DEADLINE:
            await asyncio.Event().wait()
        raise CommitFailed("no broker")

    offsets.faults = [fail]
    offsets.finish(0)
    with capture_logs() as logs:
        await offsets.committer.flush(offsets, seconds)

    assert [(line["event"], line["problem"]) for line in logs] == [("commit_failed", problem)]
    assert [commit.offset for commit in offsets.tracker.due()] == [1]
