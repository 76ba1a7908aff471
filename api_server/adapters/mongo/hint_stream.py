"""Which logs and operations have changed, whoever changes them: the HintStream.

One stream covers both collections. mongod sends nothing of the documents but their ids.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from api_server.adapters.mongo.change_cursor import WHOLE_DATABASE, ChangeCursor, open_cursor
from api_server.adapters.mongo.client import Client, Document
from api_server.adapters.mongo.collections import JOB_LOGS, OPERATIONS
from api_server.feed.ports import Subject, Topic

TOPICS = {JOB_LOGS: Topic.JOB_LOG, OPERATIONS: Topic.OPERATION}
CHANGED: list[Document] = [
    {
        "$match": {
            "ns.coll": {"$in": list(TOPICS)},
            "operationType": {"$in": ["insert", "update", "replace"]},
        }
    },
    {"$project": {"ns.coll": 1, "documentKey": 1}},
]


class MongoHintStream:
    """See api_server.feed.ports.HintStream. `client`: waits longer for an answer than other clients."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database

    @asynccontextmanager
    async def open(self) -> AsyncIterator["OpenMongoHintStream"]:
        async with open_cursor(self._client, self._database, WHOLE_DATABASE, CHANGED) as cursor:
            yield OpenMongoHintStream(cursor)


class OpenMongoHintStream:
    """See api_server.feed.ports.OpenHintStream."""

    def __init__(self, cursor: ChangeCursor) -> None:
        self._cursor = cursor

    async def next(self) -> Sequence[Subject]:
        return [
            Subject(TOPICS[event["ns"]["coll"]], event["documentKey"]["_id"])
            for event in await self._cursor.next()
        ]
