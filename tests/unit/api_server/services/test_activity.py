"""An API server counts what it records, and stores the counts by minute without losing any."""

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api_server.domain.activity import MINUTES, NO_TYPE, Activity, ByType, EndTimes, Totals, merged
from api_server.domain.errors import StoreUnavailable
from api_server.domain.histogram import bucket_of
from api_server.domain.job import Status
from api_server.services import activity
from api_server.services.activity import SAMPLE, ActivityRecorder
from api_server.services.job_types import KnownJobTypes
from tests.waiting import until

START = datetime(2026, 1, 1, 12, 30, 59, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FIRST = START.replace(second=0)
SECOND = timedelta(seconds=1)
JOB = UUID(int=1)


class Store:
    """Keeps the counts. `is_away`: it cannot be reached. It is its own clock."""

    def __init__(self) -> None:
        self.time = START
        self.kept: dict[datetime, ByType] = {}
        self.puts = 0
        self.kept_totals: list[Mapping[str, Totals]] = []
        self.measured: list[Sequence[UUID]] = []
        self.is_away = False
        self.refusals = 0
        self.recorder = ActivityRecorder(self, self, KnownJobTypes(("a", "b")), choose=lambda _: SAMPLE - 1)

    def now(self) -> datetime:
        return self.time

    async def put(self, _process: str, minute: datetime, counts: Mapping[str, Activity]) -> None:
        self._check()
        self.puts += 1
        self.kept[minute] = deepcopy(dict(counts))

    async def add_totals(self, totals: Mapping[str, Totals]) -> None:
        self._check()
        self.kept_totals.append(totals)

    async def end_times(self, job_ids: Sequence[UUID]) -> Sequence[EndTimes]:
        self._check()
        self.measured.append(job_ids)
        return [EndTimes("a", START, START + SECOND, START + 3 * SECOND) for _ in job_ids]

    async def minutes(self, _since: datetime) -> Any:
        raise NotImplementedError

    async def totals(self) -> Any:
        raise NotImplementedError

    def _check(self) -> None:
        if self.is_away:
            self.refusals += 1
            raise StoreUnavailable


async def test_counts_are_stored_by_type_with_the_durations() -> None:
    store = Store()
    recorder = store.recorder
    recorder.created("a")
    recorder.created("a")
    recorder.started("a")
    recorder.ended("a", Status.COMPLETED, JOB)
    recorder.ended("b", Status.FAILED, JOB)
    recorder.ended("b", Status.CANCELLED, JOB)
    recorder.ended("hostile", Status.COMPLETED, JOB)
    await recorder.store()
    to_start, run = {bucket_of(SECOND): 3.0}, {bucket_of(2 * SECOND): 3.0}
    assert store.kept == {
        FIRST: {
            "a": Activity(created=2, started=1, completed=1, to_start=to_start, run=run),
            "b": Activity(failed=1, cancelled=1),
            NO_TYPE: Activity(completed=1),
        }
    }
    assert store.kept_totals == [
        {"a": Totals(1, 0, 0), "b": Totals(0, 1, 1), NO_TYPE: Totals(1, 0, 0)},
    ]


async def test_failures_that_nobody_has_reported_are_counted_and_not_measured() -> None:
    store = Store()
    store.recorder.failed("a", 2)
    store.recorder.failed("a", 1)
    store.recorder.failed("hostile", 1)
    await store.recorder.store()
    assert store.kept == {FIRST: {"a": Activity(failed=3), NO_TYPE: Activity(failed=1)}}
    assert store.kept_totals == [{"a": Totals(failed=3), NO_TYPE: Totals(failed=1)}]
    assert store.measured == []


async def test_without_activity_nothing_is_stored() -> None:
    store = Store()
    await store.recorder.store()
    store.time += MINUTE
    await store.recorder.store()
    assert (store.puts, store.kept_totals, store.measured) == (0, [], [])


async def test_a_minute_is_stored_again_with_all_its_counts() -> None:
    store = Store()
    for _ in range(3):
        store.recorder.created("a")
        await store.recorder.store()
    await store.recorder.store()
    assert (store.kept[FIRST]["a"].created, store.puts) == (3, 3)


async def test_counts_before_a_store_belong_to_the_minute_of_the_store_before() -> None:
    store = Store()
    store.recorder.created("a")
    store.time += MINUTE
    store.recorder.created("a")
    await store.recorder.store()
    store.recorder.created("a")
    await store.recorder.store()
    assert {minute: types["a"].created for minute, types in store.kept.items()} == {
        FIRST: 2,
        FIRST + MINUTE: 1,
    }


async def test_after_an_outage_the_minutes_are_stored_but_not_the_hours() -> None:
    store = Store()
    store.is_away = True
    for _ in range(MINUTES + 5):
        store.recorder.created("a")
        await store.recorder.store()
        store.time += MINUTE
    store.is_away = False
    store.recorder.created("b")
    await store.recorder.store()
    assert len(store.kept) <= MINUTES
    assert merged(store.kept.values())["b"].created == 1
    assert max(store.kept) == FIRST + (MINUTES + 4) * MINUTE
    assert {types["a"].created for types in store.kept.values() if "a" in types} == {1}


async def test_a_sample_stands_for_all_jobs_that_ended() -> None:
    store = Store()
    jobs = [UUID(int=number) for number in range(2 * SAMPLE)]
    for job_id in jobs:
        store.recorder.ended("a", Status.COMPLETED, job_id)
    await store.recorder.store()
    # The stand-in for chance puts each later job into the last place.
    assert store.measured == [[*jobs[: SAMPLE - 1], jobs[-1]]]
    assert sum(store.kept[FIRST]["a"].run.values()) == 2 * SAMPLE


async def test_counts_are_stored_again_and_again_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "STORE_EVERY", 0.001)
    store = Store()
    store.is_away = True
    store.recorder.created("a")
    storing = asyncio.create_task(store.recorder.run())
    await until(lambda: store.refusals)
    faults: list[datetime] = []

    async def fail(_process: str, minute: datetime, _counts: Mapping[str, Activity]) -> None:
        faults.append(minute)
        raise ValueError("a fault")

    with monkeypatch.context() as broken:
        broken.setattr(store, "put", fail)
        store.is_away = False
        await until(lambda: faults)
    await until(lambda: store.puts)
    storing.cancel()
    await asyncio.wait([storing])
    assert store.kept[FIRST]["a"].created == 1


async def test_the_totals_of_an_outage_are_stored_after_it() -> None:
    store = Store()
    store.recorder.ended("a", Status.FAILED, JOB)
    store.is_away = True
    await store.recorder.store()
    store.is_away = False
    store.recorder.ended("a", Status.COMPLETED, JOB)
    await store.recorder.store()
    assert store.kept_totals == [{"a": Totals(1, 1, 0)}]
