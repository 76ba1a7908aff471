"""An election of another primary costs time, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
import pytest_asyncio

from api_server.adapters.mongo.clock import JUMP_SECONDS
from api_server.adapters.mongo.indexes import INDEXES, create_indexes
from api_server.adapters.mongo.reads import MARK
from api_server.adapters.mongo.retention import set_retention
from api_server.adapters.mongo.stores import MongoStores, connect
from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobFilter, PageRequest
from api_server.domain.retention import Retention
from api_server.domain.transitions import cancel
from api_server.recovery.leadership import Leadership
from tests.integration.mongo.jobs import get, insert, new_job, now
from tests.integration.mongo.replica_set import ReplicaSet
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.slow

T = TypeVar("T")


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    members = ReplicaSet(tmp_path_factory.mktemp("replica_set"))
    try:
        members.up()
        yield members
    finally:
        members.down()


@pytest_asyncio.fixture
async def stores(replica_set: ReplicaSet) -> AsyncIterator[MongoStores]:
    async with connect(replica_set.uri, "elections") as opened:
        yield opened
    replica_set.recover()


async def sooner_or_later(call: Callable[[], Awaitable[T]]) -> T:
    """The first answer of `call` that is not "unavailable"."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return await call()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def stored(stores: MongoStores, job: Job) -> Job:
    """On a busy machine there are elections that no test has started."""
    return await sooner_or_later(lambda: insert(stores, job, now()))


@dataclass
class Election:
    """An election after which the new primary acknowledges writes, but does not learn that a majority has
    them, until `let_commit`.
    """

    replica_set: ReplicaSet
    heirs: list[int]

    def let_commit(self) -> None:
        for heir in self.heirs:
            self.replica_set.fail_point(heir, "disableSnapshotting", "off")


async def elected(replica_set: ReplicaSet, change: Callable[[], Awaitable[T]]) -> tuple[Election, T]:
    """Acknowledge `change` before the other members know of that, then elect another primary."""
    old = replica_set.primary()
    heirs = replica_set.secondaries()
    for heir in heirs:
        replica_set.fail_point(heir, "disableSnapshotting", "alwaysOn")
    done = await change()
    replica_set.kill(old)
    replica_set.primary(but=old)
    return Election(replica_set, heirs), done


async def test_no_read_is_older_than_an_acknowledged_write_after_an_election(
    replica_set: ReplicaSet, stores: MongoStores
) -> None:
    wanted = JobFilter(labels={"test": "reads"})
    known = await stored(stores, new_job(labels=wanted.labels))

    async def change() -> Job:
        job = await insert(stores, new_job(labels=wanted.labels), now())
        await stores.jobs.apply([cancel(known.id, "call", "", now())])
        await stores.fleet.change(lambda desired: desired.with_consuming(False, None))
        return job

    election, job = await elected(replica_set, change)
    reads = (
        asyncio.create_task(sooner_or_later(partial(stores.jobs.get_all, [known.id, job.id]))),
        asyncio.create_task(sooner_or_later(partial(stores.jobs.page, wanted, PageRequest(10)))),
        asyncio.create_task(sooner_or_later(stores.fleet.fleet)),
    )
    await asyncio.wait(reads, timeout=1.0)
    election.let_commit()
    found, page, fleet = await asyncio.gather(*reads)
    assert [each and each.status for each in found] == [Status.CANCELLED, Status.QUEUED]
    assert [(each.id, each.status) for each in page.jobs] == [
        (job.id, Status.QUEUED),
        (known.id, Status.CANCELLED),
    ]
    assert not fleet.consuming


async def test_an_election_costs_a_reader_one_write(replica_set: ReplicaSet, stores: MongoStores) -> None:
    async def written() -> int:
        mark = await stores.client["elections"]["elections"].find_one({"_id": MARK})
        return int(mark["elections"])

    job = await stored(stores, new_job())
    await sooner_or_later(partial(get, stores, job.id))
    before = await written()
    await asyncio.gather(*(get(stores, job.id) for _ in range(50)))
    assert await written() == before
    replica_set.step_down()
    await asyncio.gather(*(sooner_or_later(partial(get, stores, job.id)) for _ in range(50)))
    # A few more if the driver found the new primary during the write, or the write was sent again.
    assert before < await written() <= before + 5


async def test_writes_and_the_due_lease_continue_while_a_majority_lags_by_three_seconds(
    replica_set: ReplicaSet, stores: MongoStores
) -> None:
    replica_set.delay(3)
    try:
        leadership = Leadership(stores.due_lease, "one")

        async def follow() -> None:
            while True:
                with suppress(StoreUnavailable):
                    await stores.ping()
                await asyncio.sleep(0.2)

        async def lead() -> None:
            while True:
                leading.append(asyncio.create_task(sooner_or_later(leadership.prolong)))
                await asyncio.sleep(0.5)

        leading: list[asyncio.Task[bool]] = []
        background = [asyncio.create_task(follow()), asyncio.create_task(lead())]
        # Each try stores another job, so one succeeds only when the lag is known.
        await sooner_or_later(lambda: insert(stores, new_job(), now()))
        await until(lambda: (leadership.unbroken_seconds() or 0) >= 1)
        await asyncio.gather(*leading)
        for task in background:
            task.cancel()
    finally:
        replica_set.delay(0)


async def test_indexes_are_built_while_one_secondary_is_down(
    replica_set: ReplicaSet, stores: MongoStores
) -> None:
    database = stores.client["indexes"]
    await database["jobs"].insert_one({"_id": 1})
    replica_set.kill(replica_set.secondaries()[0])
    async with asyncio.timeout(DEADLINE):
        await create_indexes(database)
        await set_retention(database, Retention(60))
    assert len(await database["jobs"].index_information()) == 1 + len(INDEXES["jobs"]) + 1


async def test_writes_that_wait_for_a_majority_do_not_delay_reads(
    replica_set: ReplicaSet, stores: MongoStores
) -> None:
    job = await stored(stores, new_job())
    await sooner_or_later(partial(get, stores, job.id))
    primary = replica_set.primary()
    replica_set.fail_point(primary, "disableSnapshotting", "alwaysOn")
    try:
        writes = [asyncio.create_task(insert(stores, new_job(), now())) for _ in range(40)]
        await asyncio.sleep(0.5)
        assert await sooner_or_later(partial(get, stores, job.id)) == job
        assert not any(write.done() and write.exception() is None for write in writes)
    finally:
        replica_set.fail_point(primary, "disableSnapshotting", "off")
    await asyncio.gather(*writes, return_exceptions=True)


async def test_after_a_primary_froze_everything_continues_with_the_next_one(
    replica_set: ReplicaSet, stores: MongoStores
) -> None:
    jobs = [await stored(stores, new_job()) for _ in range(3)]
    frozen = replica_set.primary()
    replica_set.freeze(frozen)
    calls = [
        asyncio.create_task(sooner_or_later(partial(get, stores, job.id))) for job in jobs for _ in range(20)
    ]
    calls += [
        asyncio.create_task(sooner_or_later(lambda: insert(stores, new_job(), now()))) for _ in range(60)
    ]
    found = await asyncio.gather(*calls)
    assert all(found)
    assert replica_set.primary(but=frozen) != frozen
    # The time has advanced meanwhile.
    await sooner_or_later(stores.ping)
    assert abs(stores.clock.now() - now()) < timedelta(seconds=JUMP_SECONDS)
    assert stores.clock.steady_seconds() > 1
