"""The changes of the collection of jobs, whoever makes them: the ChangeStream."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from bson.raw_bson import RawBSONDocument

from api_server.adapters.mongo.change_cursor import ChangeCursor, open_cursor
from api_server.adapters.mongo.client import Client, Document
from api_server.adapters.mongo.collections import JOBS
from api_server.adapters.mongo.document_parts import decode
from api_server.adapters.mongo.documents import LARGE, to_values
from api_server.domain.changes import JobChange
from api_server.domain.job import TERMINAL
from api_server.feed.ports import Changes

ENDS: list[Document] = [
    {
        "$match": {
            "operationType": "update",
            "updateDescription.updatedFields.status": {"$in": sorted(status.value for status in TERMINAL)},
        }
    },
    {"$project": {"documentKey": 1}},
]
"""The end of each job."""
ALL: list[Document] = [
    {
        "$match": {
            "$or": [
                {"operationType": "insert"},
                # Moved leases and the like, which no reader can see, leave the revision as it is.
                {"operationType": "update", "updateDescription.updatedFields.revision": {"$exists": True}},
            ]
        }
    },
    {
        "$project": dict.fromkeys(
            [
                "wallTime",
                "clusterTime",
                "ns",
                *(f"fullDocument.{name}" for name in LARGE),
                *(f"updateDescription.updatedFields.{name}" for name in LARGE),
                "updateDescription.truncatedArrays",
            ],
            0,
        )
    },
]
"""Every change that a reader can see, but for large fields."""


class MongoChangeStream:
    """See api_server.feed.ports.ChangeStream. `client`: waits longer for an answer than other clients."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database

    @asynccontextmanager
    async def open(
        self, after: str | None = None, *, only_ends: bool = False
    ) -> AsyncIterator["OpenMongoChangeStream"]:
        pipeline = ENDS if only_ends else ALL
        async with open_cursor(self._client, self._database, JOBS, pipeline, after) as cursor:
            yield OpenMongoChangeStream(cursor, only_ends=only_ends)


class OpenMongoChangeStream:
    """See api_server.feed.ports.OpenChangeStream."""

    def __init__(self, cursor: ChangeCursor, *, only_ends: bool) -> None:
        self._cursor = cursor
        self._only_ends = only_ends

    @property
    def position(self) -> str:
        return self._cursor.position

    async def next(self, about: Callable[[UUID], bool] | None = None) -> Changes:
        events = [(each["documentKey"]["_id"], each) for each in await self._cursor.next()]
        needed = [(job_id, each) for job_id, each in events if about is None or about(job_id)]
        if self._only_ends:
            return Changes([job_id for job_id, _ in needed])
        changes = [to_change(each) for _, each in needed]
        return Changes([each.job_id for each in changes if each.has_ended], changes)


def to_change(raw: RawBSONDocument) -> JobChange:
    """An event of the change stream as a change."""
    event = decode(raw)
    job_id, position = event["documentKey"]["_id"], event["_id"]["_data"]
    if event["operationType"] == "insert":
        document = event["fullDocument"]
        values = to_values(document, ())
        return JobChange(job_id, document["revision"], position, values or {}, is_new=True)
    update = event["updateDescription"]
    values = to_values(update["updatedFields"], update["removedFields"])
    revision = update["updatedFields"]["revision"]
    return JobChange(job_id, revision, position, values or {}, is_complete=values is not None)
