"""The changes of the collection of jobs, whoever makes them: the ChangeStream.

motor's own change stream needs a thread for each change, for a moment. Here one `getMore` brings up to BATCH
changes, and mongod sends only the few bytes that are needed.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import bson

from api_server.adapters.mongo.client import CODEC, RAW_CODEC, Client, within
from api_server.adapters.mongo.collections import JOBS
from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import TERMINAL
from api_server.ports import Changes

BATCH = 1000
AWAIT_MILLISECONDS = 1000
"""How long mongod waits for a change before it answers that there is none."""
ANSWER_SECONDS = 6.0
"""The limit for one answer. The client's own limit, SOCKET_SECONDS, is shorter."""

ENDS = [
    {
        "$match": {
            "operationType": "update",
            "updateDescription.updatedFields.status": {"$in": sorted(status.value for status in TERMINAL)},
        }
    },
    {"$project": {"documentKey": 1}},
]
"""The end of each job."""


class MongoChangeStream:
    """See api_server.ports.ChangeStream. `client`: waits longer for an answer than other clients."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = client[database]

    @asynccontextmanager
    async def open(self) -> AsyncIterator["OpenMongoChangeStream"]:
        async with within(ANSWER_SECONDS):
            session = await self._client.start_session()
        # A cursor belongs to its session, and mongod closes both when the session ends.
        async with session:
            command = {
                "aggregate": JOBS,
                "pipeline": [{"$changeStream": {}}, *ENDS],
                "cursor": {"batchSize": 0},
            }
            async with within(ANSWER_SECONDS):
                answer = await self._database.command(command, session=session)
            yield OpenMongoChangeStream(self._database, session, answer["cursor"])


class OpenMongoChangeStream:
    """See api_server.ports.OpenChangeStream."""

    def __init__(self, database: Any, session: Any, cursor: Mapping[str, Any]) -> None:
        self._database = database
        self._session = session
        self._cursor_id = cursor["id"]

    async def next(self) -> Changes:
        command = {
            "getMore": self._cursor_id,
            "collection": JOBS,
            "batchSize": BATCH,
            "maxTimeMS": AWAIT_MILLISECONDS,
        }
        async with within(ANSWER_SECONDS):
            answer = await self._database.command(command, session=self._session, codec_options=RAW_CODEC)
        cursor = answer["cursor"]
        if not cursor["id"]:
            # Somebody has dropped or renamed the collection.
            raise StoreUnavailable
        return Changes([_job_id(event) for event in cursor["nextBatch"]])


def _job_id(event: Any) -> Any:
    return bson.decode(event.raw, codec_options=CODEC)["documentKey"]["_id"]
