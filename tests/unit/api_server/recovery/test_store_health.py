"""For how long the store has answered without a break."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from api_server.domain.errors import StoreUnavailable
from api_server.domain.heartbeat_times import MAX_SILENT_INTERVALS
from api_server.recovery.store_health import MAX_BREAK, StoreHealth
from tests.unit.api_server.dispatch.dispatch_fakes import NOW

SECOND = timedelta(seconds=1)


class Store:
    """Answers after `takes` seconds, in the time `now` that the test moves. Raises `fault`, if it is set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes = 0.0
        self.fault: Exception | None = None

    def time(self) -> float:
        return self.now

    async def ping(self) -> None:
        self.now += self.takes
        if self.fault is not None:
            raise self.fault


class Steady:
    """A clock whose time does not jump, unless `seconds` are given."""

    def __init__(self, seconds: Sequence[float] = ()) -> None:
        self._seconds = iter(seconds)

    def now(self) -> datetime:
        return NOW

    def steady_seconds(self) -> float:
        return next(self._seconds, math.inf)


async def checked(store: Store, store_health: StoreHealth, times: int) -> None:
    for _ in range(times):
        assert await store_health.check()
        store.now += store_health.interval


async def test_unbroken_time_begins_with_the_first_answer() -> None:
    store = Store()
    store_health = StoreHealth(store, Steady(), SECOND, store.time)
    assert store_health.unbroken_seconds() is None
    await checked(store, store_health, 10)
    assert store_health.unbroken_seconds() == 10 * store_health.interval


@pytest.mark.parametrize("fault", [StoreUnavailable(), RuntimeError("a fault of our own")])
async def test_after_a_failed_ping_unbroken_time_begins_anew(fault: Exception) -> None:
    store = Store()
    store_health = StoreHealth(store, Steady(), SECOND, store.time)
    await checked(store, store_health, 10)
    store.fault = fault
    assert not await store_health.check()
    assert store_health.unbroken_seconds() is None
    store.fault = None
    await checked(store, store_health, 2)
    assert store_health.unbroken_seconds() == 2 * store_health.interval


@pytest.mark.parametrize(("stood_still", "unbroken"), [(MAX_BREAK, True), (MAX_BREAK + 0.1, False)])
async def test_a_paused_process_notices_it_before_the_next_ping(stood_still: float, unbroken: bool) -> None:
    store = Store()
    store_health = StoreHealth(store, Steady(), SECOND, store.time)
    await checked(store, store_health, 10)
    store.now += stood_still - store_health.interval
    assert (store_health.unbroken_seconds() is not None) is unbroken


async def test_slow_answers_are_a_break() -> None:
    store = Store()
    store_health = StoreHealth(store, Steady(), SECOND, store.time)
    store.takes = 1.6
    assert await store_health.check()
    assert store_health.unbroken_seconds() is None


@pytest.mark.parametrize("heartbeat_interval", [0.1, 0.5, 1.0, 1.4, 2.0, 60.0])
def test_pings_are_frequent_enough_and_an_unnoticed_break_makes_no_worker_look_dead(
    heartbeat_interval: float,
) -> None:
    store_health = StoreHealth(Store(), Steady(), timedelta(seconds=heartbeat_interval))
    longest_break = MAX_BREAK * heartbeat_interval
    assert store_health.interval < longest_break
    # The latest heartbeat came an interval before the break.
    assert heartbeat_interval + longest_break < MAX_SILENT_INTERVALS * heartbeat_interval


async def test_after_a_jump_of_the_stores_time_unbroken_time_begins_anew() -> None:
    store, steady = Store(), [100.0, 0.0, 2.0]
    store_health = StoreHealth(store, Steady(steady), SECOND, store.time)
    await checked(store, store_health, 10)
    assert [store_health.unbroken_seconds() for _ in range(3)] == [5.0, 0.0, 2.0]
