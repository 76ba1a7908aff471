"""The desired state of the fleet, and the names of the workers, on a real mongod."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from api_server.adapters.mongo.stores import MongoStores
from api_server.adapters.mongo.workers import MongoWorkerStore
from api_server.adapters.mongo.writes import Writes
from api_server.domain.fleet import Fleet, OneType, OneWorker, Worker, WorkerIdentity, WorkerReport
from tests.integration.mongo.jobs import now

SECOND = timedelta(seconds=1)
REPORT = WorkerReport("consuming", {"jobs.compute": (0, 3)}, 2, 10, 1, 4, ("compute",))


def identity(name: str, incarnation: int = 1) -> WorkerIdentity:
    return WorkerIdentity(f"{name}/{incarnation}", name, "host", 7, ("compute", "data"))


def never(_: Worker) -> bool:
    return False


def always(_: Worker) -> bool:
    return True


# --- The desired state ---


async def test_the_fleet_consumes_until_another_state_is_stored(empty_stores: MongoStores) -> None:
    fleet = empty_stores.fleet
    assert await fleet.fleet() == Fleet()
    assert await fleet.change(lambda desired: desired.with_consuming(True, None)) == Fleet()
    assert await fleet.fleet() == Fleet()
    stopped = await fleet.change(lambda desired: desired.with_consuming(False, None))
    assert stopped == await fleet.fleet() == Fleet(consuming=False, revision=1)
    parts = [OneWorker("b"), OneWorker("a"), OneType("data")]
    for part in parts:
        await fleet.change(lambda desired, part=part: desired.with_consuming(False, part))  # type: ignore[misc]  # - mypy infers no default
    assert await fleet.fleet() == Fleet(False, 4, ("a", "b"), ("data",))
    assert await fleet.change(lambda desired: desired.with_consuming(True, None)) == Fleet(revision=5)


async def test_a_state_that_was_stored_before_there_were_parts_is_read(empty_stores: MongoStores) -> None:
    await empty_stores.fleet._fleet.insert_one({"_id": "fleet", "consuming": False, "revision": 3})
    assert await empty_stores.fleet.fleet() == Fleet(consuming=False, revision=3)
    fleet = await empty_stores.fleet.change(lambda desired: desired.with_consuming(False, OneWorker("a")))
    assert fleet == Fleet(False, 4, ("a",))


async def test_no_concurrent_change_is_lost(empty_stores: MongoStores) -> None:
    names = [f"worker-{n}" for n in range(20)]

    async def stop(name: str) -> Fleet:
        return await empty_stores.fleet.change(lambda fleet: fleet.with_consuming(False, OneWorker(name)))

    stopped = await asyncio.gather(*map(stop, names))
    assert sorted(fleet.revision for fleet in stopped) == list(range(1, 21))
    assert set((await empty_stores.fleet.fleet()).stopped_workers) == set(names)


# --- Names ---


async def test_a_worker_is_known_when_it_has_its_name_and_keeps_its_last_report(
    empty_stores: MongoStores,
) -> None:
    workers, time = empty_stores.workers, now()
    assert not await workers.heartbeat("b/1", REPORT, time)
    assert await workers.take_name(identity("b"), never, time) == Worker(identity("b"), WorkerReport(), time)
    assert await workers.workers() == [Worker(identity("b"), WorkerReport(), time)]
    later = time + 2 * SECOND
    assert await workers.heartbeat("b/1", REPORT, later)
    again = replace(identity("b"), pid=8, start_time=time, version="1.2")
    assert await workers.take_name(again, never, time + SECOND) == Worker(again, REPORT, later)
    assert await workers.workers() == [Worker(again, REPORT, later)]


async def test_a_late_heartbeat_does_not_move_the_last_heartbeat_time_back(
    empty_stores: MongoStores,
) -> None:
    workers, time = empty_stores.workers, now()
    await workers.take_name(identity("a"), never, time)
    assert await workers.heartbeat("a/1", REPORT, time - SECOND)
    assert [worker.last_heartbeat_time for worker in await workers.workers()] == [time]


async def test_a_holder_keeps_its_name_until_it_may_be_replaced(empty_stores: MongoStores) -> None:
    workers, time = empty_stores.workers, now()
    await workers.take_name(identity("a"), always, time)
    holder = Worker(identity("a"), WorkerReport(), time)
    assert await workers.take_name(identity("a", 2), never, time + SECOND) == holder
    assert await workers.workers() == [holder]

    later = time + 2 * SECOND
    newcomer = Worker(identity("a", 2), WorkerReport(), later, predecessor="a/1")
    assert await workers.take_name(identity("a", 2), always, later) == newcomer
    assert not await workers.heartbeat("a/1", REPORT, later)
    assert await workers.heartbeat("a/2", REPORT, later)
    assert await workers.take_name(identity("a", 2), never, later) == replace(newcomer, report=REPORT)
    assert await workers.workers() == [replace(newcomer, report=REPORT)]


async def test_one_of_several_concurrent_newcomers_takes_a_name_over(empty_stores: MongoStores) -> None:
    workers, time = empty_stores.workers, now()

    def first_only(holder: Worker) -> bool:
        return holder.identity.worker_id == "a/1"

    async def race(name: str, incarnations: range) -> set[str]:
        holders = await asyncio.gather(
            *(workers.take_name(identity(name, number), first_only, time) for number in incarnations)
        )
        assert {worker.identity.worker_id for worker in await workers.workers()} == {
            worker.identity.worker_id for worker in holders
        }
        return {worker.identity.worker_id for worker in holders}

    assert len(await race("a", range(1, 2))) == 1
    (winner,) = await race("a", range(2, 22))
    assert winner != "a/1"


async def test_one_of_several_concurrent_newcomers_gets_a_free_name(empty_stores: MongoStores) -> None:
    holders = await asyncio.gather(
        *(empty_stores.workers.take_name(identity("a", number), never, now()) for number in range(20))
    )
    assert len({worker.identity.worker_id for worker in holders}) == 1


async def test_a_holder_that_sends_a_heartbeat_while_it_is_replaced_keeps_its_name(
    empty_stores: MongoStores,
) -> None:
    time = now()
    await empty_stores.workers.take_name(identity("a"), never, time)

    class HeardOfAfterReading(MongoWorkerStore):
        heard = False

        async def _holder(self, name: str) -> Worker | None:
            holder = await super()._holder(name)
            if not self.heard:
                self.heard = True
                assert await self.heartbeat("a/1", REPORT, time + SECOND)
            return holder

    store = HeardOfAfterReading(
        empty_stores.workers._workers, empty_stores.workers._reads, Writes(), empty_stores.clock
    )
    holder = await store.take_name(
        identity("a", 2), lambda holder: holder.last_heartbeat_time == time, time + SECOND
    )
    assert holder.identity.worker_id == "a/1"
    assert await store.heartbeat("a/1", REPORT, time + 2 * SECOND)


async def test_workers_silent_for_an_hour_are_not_listed(empty_stores: MongoStores) -> None:
    time = now()
    for name, age in [("b", 0), ("a", 0), ("old", 61)]:
        await empty_stores.workers.take_name(identity(name), never, time - timedelta(minutes=age))
    assert [worker.identity.name for worker in await empty_stores.workers.workers()] == ["a", "b"]


async def test_heartbeats_are_found_by_an_index(empty_stores: MongoStores) -> None:
    for name in "abcdef":
        await empty_stores.workers.take_name(identity(name), never, now())
    plan = await empty_stores.workers._workers.find({"worker_id": "c/1"}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 1


async def test_a_worker_keeps_the_session_that_it_has_registered_with(empty_stores: MongoStores) -> None:
    workers, time = empty_stores.workers, now()
    await workers.take_name(identity("a"), never, time, "mine")
    await workers.take_name(identity("b"), never, time)
    assert await workers.sessions(["a/1", "b/1", "c/1"]) == {"a/1": "mine", "b/1": ""}
    assert (await workers.take_name(identity("a"), always, time, "other")).session == "mine"
    assert await workers.sessions(["a/1"]) == {"a/1": "mine"}
    await workers.heartbeat("a/1", REPORT, time)
    assert await workers.sessions(["a/1"]) == {"a/1": "mine"}

    await workers.take_name(identity("a", 2), always, time + SECOND, "newcomer")
    assert await workers.sessions(["a/1", "a/2"]) == {"a/2": "newcomer"}
