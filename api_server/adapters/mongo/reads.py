"""Reads that see all that was acknowledged, right after an election too.

A new primary answers majority reads as of the latest commit that it had heard of, which may be older than what the one
before it acknowledged, until a write of its own is on a majority. So this process reads from a primary only once that
primary has taken a majority write of this process. It costs one write for each election; otherwise two comparisons.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog
from pymongo.server_type import SERVER_TYPE
from pymongo.topology_description import TopologyDescription

from api_server.adapters.mongo.client import READ_SECONDS, Client, Collection, within
from api_server.adapters.mongo.writes import Writes, resend

MARK = "read"
"""The `_id` of the document that is written."""
NO_ELECTIONS = "no elections"
"""Where a router stands before the replica sets, elections are not seen."""

T = TypeVar("T")
log = structlog.get_logger()


class Reads:
    """Runs reads with read concern majority. `marks`: the collection that is written to after an election."""

    def __init__(self, client: Client, marks: Collection, writes: Writes) -> None:
        self._client = client
        self._marks = marks
        self._writes = writes
        self._description: TopologyDescription | None = None
        self._election: object | None = None
        """As `_description` tells it."""
        self._confirmed: object | None = None
        """The election whose primary has taken a majority write of ours."""
        self._confirming: asyncio.Task[None] | None = None

    async def run(self, read: Callable[[], Awaitable[T]]) -> T:
        """The answer. Raises StoreUnavailable after READ_SECONDS."""
        async with within(READ_SECONDS):
            return await self.up_to_date(read)

    async def up_to_date(self, read: Callable[[], Awaitable[T]]) -> T:
        """The answer, with no limit in time. Raises PyMongoError, StoreUnavailable."""
        while True:
            if not self._is_confirmed():
                await self._confirm()
            answer = await read()
            # Elections only follow one another: if it is the same as before, no other primary has answered.
            if self._is_confirmed():
                return answer

    def _is_confirmed(self) -> bool:
        election = self._present_election()
        return election is not None and election == self._confirmed

    def _present_election(self) -> object | None:
        """The one that made the primary that the driver knows of; None: it knows of none."""
        description = self._client.topology_description
        if description is not self._description:
            self._description, self._election = description, election_of(description)
        return self._election

    async def _confirm(self) -> None:
        """Have the present primary take a majority write; all that wait for it share one."""
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._write_until_confirmed())
            self._confirming.add_done_callback(_look_at_failure)
        await asyncio.shield(self._confirming)

    async def _write_until_confirmed(self) -> None:
        while not self._is_confirmed():
            election = self._present_election()
            await self._writes.run(partial(resend, self._write))
            if election is not None and election == self._present_election():
                self._confirmed = election
                log.info("primary_confirmed", election=str(election))

    async def _write(self) -> None:
        await self._marks.update_one({"_id": MARK}, {"$inc": {"elections": 1}}, upsert=True)


def election_of(description: TopologyDescription) -> object | None:
    """What tells the present primary's term from all others."""
    for server in description.server_descriptions().values():
        if server.server_type == SERVER_TYPE.RSPrimary:
            return server.election_id or server.address
        if server.server_type in (SERVER_TYPE.Mongos, SERVER_TYPE.LoadBalancer, SERVER_TYPE.Standalone):
            return NO_ELECTIONS
    return None


def _look_at_failure(task: asyncio.Task[None]) -> None:
    """Who waited for it hears of it; nobody may wait any more."""
    if not task.cancelled():
        task.exception()
