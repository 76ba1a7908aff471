"""What a start does when MongoDB refuses to rename a collection."""

from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from api_server.adapters.mongo.collections import FORMER_NAMES, rename_collections
from api_server.domain.errors import StoreUnavailable


class Database:
    """Answers each rename with `error`."""

    def __init__(self, error: PyMongoError) -> None:
        self.error = error
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> "Namespace":
        return Namespace(self, name)


class Namespace:
    def __init__(self, database: Database, name: str) -> None:
        self.database, self.name = database, name

    async def rename(self, name: str) -> Any:
        self.database.asked.append(f"{self.name} -> {name}")
        raise self.database.error


async def test_collections_that_are_not_there_need_no_new_name() -> None:
    database = Database(OperationFailure("source namespace does not exist", 26))
    await rename_collections(database)
    assert database.asked == [f"{former} -> {name}" for former, name in FORMER_NAMES.items()]


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("connection closed"),
        OperationFailure("an index is being built", 12587),
        OperationFailure("another operation on it is under way", 117),
    ],
)
async def test_a_busy_collection_and_an_outage_are_unavailable(error: PyMongoError) -> None:
    with pytest.raises(StoreUnavailable):
        await rename_collections(Database(error))


async def test_another_refusal_is_raised_as_it_is() -> None:
    with pytest.raises(OperationFailure, match="not authorized"):
        await rename_collections(Database(OperationFailure("not authorized", 13)))
