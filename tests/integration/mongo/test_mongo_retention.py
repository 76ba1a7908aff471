"""Jobs that are kept for a limited time, or for ever."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from pymongo.errors import OperationFailure

from api_server.adapters.mongo.retention import USUAL_NAME, set_retention
from api_server.adapters.mongo.stores import MongoStores, connect
from api_server.domain.retention import KEEP_ALL, Retention
from api_server.domain.transitions import retry
from local_stack.mongodb import uri
from local_stack.stack import Stack
from tests.integration.mongo.jobs import now, stored

SETTINGS = [
    KEEP_ALL,
    Retention(60),
    Retention(60),
    Retention(2**31 - 1),
    Retention(60, {"compute": 5}),
    Retention(60, {"compute": 7, "data": None}),
    Retention(None, {"data": 5}),
    Retention(1),
    KEEP_ALL,
    KEEP_ALL,
    Retention(5, {"a": 1, "b": 2, "c": 3}),
]


async def times_in_the_database(stores: MongoStores) -> dict[str, int]:
    """The seconds of each TTL index on jobs, by the index's name."""
    indexes: dict[str, Any] = await stores.jobs._jobs.index_information()
    return {
        name: index["expireAfterSeconds"] for name, index in indexes.items() if "expireAfterSeconds" in index
    }


async def after_a_start(mongod: Stack, database: str, retention: Retention) -> dict[str, int]:
    """The indexes after a server has started with this setting."""
    async with connect(uri(mongod.settings), database, retention) as stores:
        return await times_in_the_database(stores)


def expected(retention: Retention) -> dict[str, int]:
    times = {USUAL_NAME: retention.usual}
    times |= {f"{USUAL_NAME}_{job_type}": seconds for job_type, seconds in retention.of_type.items()}
    return {name: seconds for name, seconds in times.items() if seconds is not None}


async def test_the_indexes_follow_the_setting(mongod: Stack) -> None:
    database = f"own_{uuid4().hex}"
    for retention in SETTINGS:
        assert await after_a_start(mongod, database, retention) == expected(retention)


@pytest.mark.slow
async def test_servers_that_start_together_agree(mongod: Stack) -> None:
    database = f"own_{uuid4().hex}"
    for retention in (Retention(60), Retention(60, {"compute": 5}), KEEP_ALL):
        starts = [after_a_start(mongod, database, retention) for _ in range(5)]
        assert await asyncio.gather(*starts) == [expected(retention)] * 5


async def test_an_index_contains_only_ended_jobs_of_its_types(
    mongod: Stack, empty_stores: MongoStores
) -> None:
    """MongoDB deletes the jobs in an index by their end_time. That it does so is not tested here."""
    stores = empty_stores
    ended = {
        job_type: [
            (await stored(stores, status, job_type=job_type)).id
            for status in ("completed", "failed", "cancelled")
        ]
        for job_type in ("blockchain", "compute", "data", "file", "z")
    }
    for status in ("queued", "processing", "claimed_unfenced"):
        await stored(stores, status)
    for status in ("failed", "cancelled"):
        await stores.jobs.apply([retry((await stored(stores, status)).id, "r", now())])
    jobs = stores.jobs._jobs
    retention = Retention(3600, {"compute": 60, "file": None})
    async with connect(uri(mongod.settings), jobs.database.name, retention):
        for name, types in (
            (USUAL_NAME, ("blockchain", "data", "z")),
            (f"{USUAL_NAME}_compute", ("compute",)),
        ):
            information = (await jobs.index_information())[name]
            selected = jobs.find(dict(information["partialFilterExpression"]), {"_id": 1}).hint(name)
            assert {document["_id"] async for document in selected} == {
                job_id for job_type in types for job_id in ended[job_type]
            }


class WithoutCollMod:
    """A database whose user has the role readWrite."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def __getitem__(self, name: str) -> Any:
        return self._database[name]

    async def command(self, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "collMod":
            raise OperationFailure("not authorized on jobs to execute command", 13)
        return await self._database.command(name, *arguments, **options)


async def test_a_user_without_the_right_to_change_an_index_can_change_the_setting(
    empty_stores: MongoStores,
) -> None:
    database = WithoutCollMod(empty_stores.jobs._jobs.database)
    for retention in (Retention(60), Retention(60), Retention(90, {"compute": 5}), Retention(90), KEEP_ALL):
        await set_retention(database, retention)

        assert await times_in_the_database(empty_stores) == expected(retention)
