"""Reads that see all acknowledged writes, also right after an election.

Until one of its own writes is on a majority, a new primary answers majority reads as of the latest commit
that it knows. That commit may be older than the writes that the previous primary acknowledged. So this
process reads from a primary only after a majority write of this process to that primary. This costs one write
for each election, and two comparisons for each read.
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
"""The `_id` of the document that is written after an election."""
NO_ELECTIONS = "no elections"
"""Stands for every election when a router (mongos) hides the elections."""

T = TypeVar("T")
log = structlog.get_logger()


class Reads:
    """Runs reads with read concern majority. `marks`: the collection that is written after an election."""

    def __init__(self, client: Client, marks: Collection, writes: Writes) -> None:
        self._client = client
        self._marks = marks
        self._writes = writes
        self._description: TopologyDescription | None = None
        self._election: object | None = None
        """The election that `_description` shows."""
        self._confirmed: object | None = None
        """The election whose primary has confirmed a majority write of this process."""
        self._confirming: asyncio.Task[None] | None = None

    async def run(self, read: Callable[[], Awaitable[T]]) -> T:
        """The answer. Raises StoreUnavailable after READ_SECONDS."""
        async with within(READ_SECONDS):
            return await self.up_to_date(read)

    async def up_to_date(self, read: Callable[[], Awaitable[T]]) -> T:
        """The answer, without a time limit. Raises PyMongoError, StoreUnavailable."""
        while True:
            if not self._is_confirmed():
                await self._confirm()
            answer = await read()
            # An election never occurs twice: if it is still the same one, no other primary has answered.
            if self._is_confirmed():
                return answer

    def _is_confirmed(self) -> bool:
        election = self._present_election()
        return election is not None and election == self._confirmed

    def _present_election(self) -> object | None:
        """The election of the primary that the driver knows; None: it knows no primary."""
        description = self._client.topology_description
        if description is not self._description:
            self._description, self._election = description, election_of(description)
        return self._election

    async def _confirm(self) -> None:
        """Send the present primary a majority write. All callers that wait share one."""
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
    """Identifies the present primary's term; None: there is no primary."""
    for server in description.server_descriptions().values():
        if server.server_type == SERVER_TYPE.RSPrimary:
            return server.election_id or server.address
        if server.server_type in (SERVER_TYPE.Mongos, SERVER_TYPE.LoadBalancer, SERVER_TYPE.Standalone):
            return NO_ELECTIONS
    return None


def _look_at_failure(task: asyncio.Task[None]) -> None:
    """Retrieve the error: callers that still wait get it, and asyncio must not warn if none does."""
    if not task.cancelled():
        task.exception()
