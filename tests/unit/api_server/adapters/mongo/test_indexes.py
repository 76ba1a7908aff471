"""What the log says while indexes are built."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from api_server.adapters.mongo import indexes as mongo_indexes
from api_server.adapters.mongo.indexes import INDEXES, create_indexes


class Database:
    """Builds no index until `built` is set."""

    def __init__(self) -> None:
        self.built = asyncio.Event()
        self.asked: list[tuple[Any, Any]] = []

    def __getitem__(self, name: str) -> "Database":
        return self

    async def create_indexes(self, indexes: Any, **options: Any) -> None:
        self.asked.append((indexes, options["commitQuorum"]))
        await self.built.wait()


async def test_a_build_that_takes_long_is_logged_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_indexes, "LOG_SECONDS", 0.01)
    database = Database()
    with capture_logs() as logs:
        building = asyncio.create_task(create_indexes(database))
        while len(logs) < 3:
            await asyncio.sleep(0.01)
        database.built.set()
        await building
    assert {(entry["event"], entry["collection"]) for entry in logs} == {("waiting_for_indexes", "jobs")}
    assert database.asked == [(indexes, "majority") for indexes in INDEXES.values()]
