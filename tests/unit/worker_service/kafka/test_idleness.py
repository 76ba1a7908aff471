"""A worker without a partition logs a warning."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from worker_service.kafka.idleness import warn_when_idle
from worker_service.kafka.offsets import Partition
from worker_service.kafka.ports import Assignment


async def warnings_after(assignments: Sequence[bool]) -> int:
    """How often a worker warns.

    `assignments`: whether it has partitions, tick by tick. It may have none for three.
    """
    ticks = iter(assignments)
    done = asyncio.Event()

    class Consumer(Assignment):
        def assignment(self) -> frozenset[Partition]:
            has_some = next(ticks, None)
            if has_some is None:
                done.set()
            return frozenset([Partition("jobs.compute", 0)] if has_some is not False else [])

    with capture_logs() as logs:
        watching = asyncio.create_task(warn_when_idle(Consumer(), idle_seconds=0.003, tick=0.001))
        async with asyncio.timeout(30):
            await done.wait()
        watching.cancel()
    assert {entry["event"] for entry in logs} <= {"no_partitions"}
    return len(logs)


@pytest.mark.parametrize(
    ("assignments", "warnings"),
    [
        ([True] * 9, 0),
        ([False, False, True, False, False], 0),
        ([False] * 9, 1),
        ([False] * 5 + [True] + [False] * 5, 2),
    ],
)
async def test_it_warns_once_when_it_has_had_no_partition_for_long(
    assignments: Sequence[bool], warnings: int
) -> None:
    assert await warnings_after(assignments) == warnings
