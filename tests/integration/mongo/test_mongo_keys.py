"""Idempotency keys, the clock, the indexes and the connection, on a real mongod."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from api_server.adapters.mongo.stores import MongoStores, connect
from api_server.domain.errors import StoreUnavailable
from local_stack.mongodb import uri
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from tests.integration.mongo.jobs import now

DAY = timedelta(days=1)


async def test_a_key_returns_what_it_was_first_stored_with(stores: MongoStores) -> None:
    key, job_id, time = f"$key.{uuid4()}", uuid4(), now()
    assert await stores.keys.remember(key, job_id, b"\0hash", time, time + DAY) == (job_id, b"\0hash")
    assert await stores.keys.remember(key, uuid4(), b"other", time, time + DAY) == (job_id, b"\0hash")


async def test_concurrent_calls_with_one_key_get_one_answer(stores: MongoStores) -> None:
    key, time = str(uuid4()), now()
    answers = await asyncio.gather(
        *(stores.keys.remember(key, uuid4(), bytes([i]), time, time + DAY) for i in range(30))
    )
    assert len(set(answers)) == 1


async def test_an_expired_key_that_is_still_stored_counts_as_absent(stores: MongoStores) -> None:
    key, later = str(uuid4()), uuid4()
    time = now()
    await stores.keys.remember(key, uuid4(), b"first", time, time + DAY)
    assert await stores.keys.remember(key, later, b"second", time + DAY, time + 2 * DAY) == (later, b"second")
    assert await stores.keys.remember(key, uuid4(), b"third", time + DAY, time + 2 * DAY) == (
        later,
        b"second",
    )


async def test_the_clock_shows_the_time_of_the_database(stores: MongoStores) -> None:
    assert abs(stores.clock.now() - now()) < timedelta(seconds=2)
    assert stores.clock.now().microsecond % 1000 == 0


async def test_a_start_creates_exactly_the_planned_indexes(empty_stores: MongoStores) -> None:
    database = empty_stores.jobs._jobs.database
    assert set(await database.jobs.index_information()) == {
        "_id_",
        "status_1_type_1_due_time_1",
        "status_1__id_1",
        "labels_1__id_1",
        "unnotified_1_status_1",
    }
    assert (await database["idempotency_keys"].index_information())["expire_time_1"][
        "expireAfterSeconds"
    ] == 0
    names = await database.workers.index_information()
    assert set(names) == {"_id_", "last_heartbeat_time_1", "worker_id_1"}
    assert names["last_heartbeat_time_1"]["expireAfterSeconds"] == 3600


async def test_write_and_read_concerns_do_not_depend_on_the_uri(mongod: Stack) -> None:
    weak = uri(mongod.settings) + "&w=1&readConcernLevel=local&journal=false"
    async with connect(weak, "shared") as opened:
        jobs = opened.jobs._jobs
        assert jobs.write_concern.document == {"w": "majority", "j": True}
        assert jobs.read_concern.level == "majority"


async def test_a_database_that_does_not_run_is_unavailable(tmp_path: Path) -> None:
    nobody = uri(StackSettings.with_free_ports(tmp_path))
    with pytest.raises(StoreUnavailable):
        async with connect(nobody, "none"):
            pass
