"""Offsets are committed soon, many together, and at once when a partition is revoked."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from worker_service.api.backoff import Backoff
from worker_service.kafka.committer import Committer
from worker_service.kafka.offsets import OffsetTracker, Partition

DEADLINE = 20.0
PARTITION = Partition("jobs.compute", 0)


class Offsets:
    """A committer and its store."""

    def __init__(self) -> None:
        self.stored: list[Mapping[Partition, int]] = []
        self.tracker = OffsetTracker()
        self.tracker.assign(PARTITION)
        self.committer = Committer(self.tracker, Backoff())

    def assignment(self) -> frozenset[Partition]:
        return frozenset([PARTITION])

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        self.stored.append(offsets)

    def finish(self, offset: int) -> None:
        ticket = self.tracker.begin(PARTITION, offset)
        assert ticket is not None
        self.committer.finish(ticket)


@pytest.fixture
async def offsets() -> AsyncIterator[Offsets]:
    offsets = Offsets()
    running = asyncio.create_task(offsets.committer.run(offsets))
    yield offsets
    running.cancel()
    await asyncio.wait([running])


async def test_records_finished_within_a_moment_are_committed_together(offsets: Offsets) -> None:
    for offset in range(5):
        offsets.finish(offset)
        await asyncio.sleep(0)
    assert offsets.stored == []

    async with asyncio.timeout(DEADLINE):
        while not offsets.stored:
            await asyncio.sleep(0.01)
    assert offsets.stored == [{PARTITION: 5}]


async def test_a_flush_commits_at_once(offsets: Offsets) -> None:
    offsets.finish(0)
    await asyncio.sleep(0)

    await offsets.committer.flush(offsets, DEADLINE)

    assert offsets.stored == [{PARTITION: 1}]
