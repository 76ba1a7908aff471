"""Reads the jobs of one run directly from MongoDB, without our services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient

from local_stack import mongodb
from local_stack.settings import StackSettings
from tests.faults.kinds import LABEL

Client = AsyncMongoClient[dict[str, Any]]


class RunStore:
    """The jobs with the run's label. Its methods raise PyMongoError while MongoDB is down."""

    def __init__(self, client: Client, run: str) -> None:
        self._jobs = client["jobs"]["jobs"]
        self._label = f"{LABEL}={run}"
        self._unfinished = {"labels": self._label, "status": {"$in": ["queued", "processing"]}}

    async def has_unfinished_jobs(self) -> bool:
        """Whether a job of the run has not ended."""
        return await self._jobs.find_one(self._unfinished) is not None

    async def count_completed(self) -> int:
        return await self._jobs.count_documents({"labels": self._label, "status": "completed"})

    async def delete_unfinished(self) -> None:
        """Delete what a failed run has left, so that it does not disturb the next run."""
        await self._jobs.delete_many(self._unfinished)

    async def documents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._jobs.find({"labels": self._label}).to_list()
        return found


@asynccontextmanager
async def run_store(settings: StackSettings, run: str) -> AsyncIterator[RunStore]:
    client: Client
    async with AsyncMongoClient(
        mongodb.uri(settings), tz_aware=True, uuidRepresentation="standard", timeoutMS=2000
    ) as client:
        yield RunStore(client, run)
