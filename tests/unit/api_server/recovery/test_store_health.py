"""For how long the store has been within reach."""

import math

import pytest

from api_server.domain.errors import StoreUnavailable
from api_server.recovery.store_health import LONGEST_BREAK, StoreHealth
from api_server.services.fleet import MISSED_HEARTBEATS


class Store:
    """Answers after `takes` seconds of `now`, which is moved by hand; raises `fault` instead, if there is one."""

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


def always_steady() -> float:
    return math.inf


async def checked(store: Store, store_health: StoreHealth, times: int) -> None:
    for _ in range(times):
        assert await store_health.check()
        store.now += store_health.interval


async def test_the_store_is_out_of_reach_until_it_has_answered() -> None:
    store = Store()
    store_health = StoreHealth(store.ping, 1.0, always_steady, store.time)
    assert store_health.unbroken_seconds() is None
    await checked(store, store_health, 10)
    assert store_health.unbroken_seconds() == 10 * store_health.interval


@pytest.mark.parametrize("fault", [StoreUnavailable(), RuntimeError("a fault of our own")])
async def test_a_ping_without_an_answer_breaks_it_and_the_count_begins_anew(fault: Exception) -> None:
    store = Store()
    store_health = StoreHealth(store.ping, 1.0, always_steady, store.time)
    await checked(store, store_health, 10)
    store.fault = fault
    assert not await store_health.check()
    assert store_health.unbroken_seconds() is None
    store.fault = None
    await checked(store, store_health, 2)
    assert store_health.unbroken_seconds() == 2 * store_health.interval


@pytest.mark.parametrize(("stood_still", "unbroken"), [(LONGEST_BREAK, True), (LONGEST_BREAK + 0.1, False)])
async def test_a_process_that_stood_still_knows_it_before_the_next_ping(
    stood_still: float, unbroken: bool
) -> None:
    store = Store()
    store_health = StoreHealth(store.ping, 1.0, always_steady, store.time)
    await checked(store, store_health, 10)
    store.now += stood_still - store_health.interval
    assert (store_health.unbroken_seconds() is not None) is unbroken


async def test_a_store_that_answers_too_slowly_is_not_within_reach_all_the_time() -> None:
    store = Store()
    store_health = StoreHealth(store.ping, 1.0, always_steady, store.time)
    store.takes = 1.6
    assert await store_health.check()
    assert store_health.unbroken_seconds() is None


@pytest.mark.parametrize("heartbeat_interval", [0.1, 0.5, 1.0, 1.4, 2.0, 60.0])
def test_pings_come_often_enough_and_a_break_that_goes_unnoticed_makes_nobody_look_dead(
    heartbeat_interval: float,
) -> None:
    store_health = StoreHealth(Store().ping, heartbeat_interval, always_steady)
    longest_break = LONGEST_BREAK * heartbeat_interval
    assert store_health.interval < longest_break
    # The latest heartbeat came an interval before the break.
    assert heartbeat_interval + longest_break < MISSED_HEARTBEATS * heartbeat_interval


async def test_a_jump_of_the_stores_time_begins_the_count_anew() -> None:
    store, steady = Store(), [100.0, 0.0, 2.0]
    store_health = StoreHealth(store.ping, 1.0, lambda: steady.pop(0), store.time)
    await checked(store, store_health, 10)
    assert [store_health.unbroken_seconds() for _ in range(3)] == [5.0, 0.0, 2.0]
