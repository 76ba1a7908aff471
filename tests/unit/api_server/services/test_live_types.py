"""A new job of a type without a live worker has a warning. The usual case costs no read."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_server.domain.errors import StoreUnavailable
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.services import live_types
from api_server.services.live_types import LiveTypes, warning
from tests.waiting import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Workers:
    """The types that live workers run."""

    def __init__(self, *types: str) -> None:
        self.types = set(types)
        self.since: list[datetime] = []
        self.faults: list[Exception] = []
        self.learned: list[Any] = []

    def now(self) -> datetime:
        return NOW

    async def live_handlers(self, since: datetime) -> dict[str, set[str]]:
        self.since.append(since)
        if self.faults:
            raise self.faults.pop()
        return {each: {""} for each in self.types}

    async def learn(self, live: Mapping[str, Any]) -> None:
        self.learned.append(live)


def live(workers: Any) -> LiveTypes:
    return LiveTypes(workers, workers, HeartbeatTimes(15 * SECOND, SECOND), workers)


async def test_types_without_a_live_worker_have_a_warning() -> None:
    workers = Workers("a", "b")
    types = live(workers)
    assert await types.warnings(["a"]) == []
    assert workers.since == [NOW - 15 * SECOND]
    assert await types.warnings({"d", "a", "c"}) == [warning("c"), warning("d")]


async def test_types_with_a_live_worker_cost_no_read() -> None:
    workers = Workers("a")
    types = live(workers)
    for _ in range(3):
        assert await types.warnings(["a"]) == []
    assert len(workers.since) == 1
    assert workers.learned == [{"a": {""}}]


@pytest.mark.parametrize("fault", [StoreUnavailable(), ValueError("a fault")])
async def test_the_first_read_fails_quietly(fault: Exception) -> None:
    workers = Workers("a")
    workers.faults = [fault]
    types = live(workers)
    await types.begin()
    assert workers.learned == []
    await types.begin()
    assert workers.learned == [{"a": {""}}]


async def test_a_worker_that_has_just_started_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_types, "FRESH_SECONDS", 0)
    workers = Workers()
    types = live(workers)
    assert await types.warnings(["a"]) == [warning("a")]
    workers.types.add("a")
    assert await types.warnings(["a"]) == []


async def test_many_jobs_without_a_worker_share_a_read() -> None:
    workers = Workers()
    types = live(workers)
    assert await asyncio.gather(*(types.warnings(["a"]) for _ in range(9))) == [[warning("a")]] * 9
    assert len(workers.since) == 1


@pytest.mark.parametrize("fault", [StoreUnavailable(), ValueError("a fault")])
async def test_a_failed_read_gives_no_warning(fault: Exception) -> None:
    workers = Workers()
    workers.faults = [fault]
    assert await live(workers).warnings(["a"]) == []


async def test_types_are_read_again_and_again_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_types, "REFRESH_SECONDS", 0.001)
    workers = Workers()
    workers.faults = [StoreUnavailable(), ValueError("a fault")]
    reading = asyncio.create_task(live(workers).run())
    await until(lambda: len(workers.since) > 3)
    reading.cancel()
    await asyncio.wait([reading])
