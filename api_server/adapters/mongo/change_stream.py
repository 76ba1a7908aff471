"""The changes of the collection of jobs, whoever makes them: the ChangeStream.

motor's own change stream needs a thread for each change, for a moment. Here one `getMore` brings up to BATCH
changes, and mongod sends only what is needed.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from api_server.adapters.mongo.client import RAW_CODEC, Client, is_outage, within
from api_server.adapters.mongo.collections import JOBS
from api_server.adapters.mongo.document_parts import decode
from api_server.adapters.mongo.documents import LARGE, to_values
from api_server.domain.changes import JobChange
from api_server.domain.errors import ResumeTokenExpired
from api_server.domain.job import TERMINAL
from api_server.feed.ports import Changes
from contract_runtime.errors import invalid

BATCH = 250
"""So many changes keep the event loop busy for a few milliseconds."""
AWAIT_MILLISECONDS = 500
"""How long mongod waits for a change before it answers that there is none."""
ANSWER_SECONDS = 6.0
"""The limit for one answer. The client's own limit, SOCKET_SECONDS, is shorter."""
RESUME_SECONDS = 3600
"""How far back a stream may begin. mongod reads its log from there on, and nothing limits that work."""

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
ALL = [
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

EXPIRED = frozenset({260, 280, 286})
"""InvalidResumeToken, ChangeStreamFatalError and ChangeStreamHistoryLost: the log does not go back so far."""
NO_POSITION = frozenset({9, 40647, 40648, 40649, 50811})
"""FailedToParse, and the codes of mongod for a position that it cannot read."""
TIME = slice(2, 10)
"""Where a position has its time: seconds since 1970, in hexadecimal. The byte before is the type, a time."""


class MongoChangeStream:
    """See api_server.ports.ChangeStream. `client`: waits longer for an answer than other clients."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = client[database]

    @asynccontextmanager
    async def open(
        self, after: str | None = None, *, only_ends: bool = False
    ) -> AsyncIterator["OpenMongoChangeStream"]:
        async with within(ANSWER_SECONDS):
            session = await self._client.start_session()
        # A cursor belongs to its session, and mongod closes both when the session ends.
        async with session:
            begin = {} if after is None else {"resumeAfter": {"_data": after}}
            command = {
                "aggregate": JOBS,
                "pipeline": [{"$changeStream": begin}, *(ENDS if only_ends else ALL)],
                "cursor": {"batchSize": 0},
            }
            async with within(ANSWER_SECONDS), _checked():
                answer = await self._database.command(command, session=session)
            if after is not None:
                _check_age(after, answer["operationTime"].time)
            yield OpenMongoChangeStream(self._database, session, answer["cursor"], only_ends=only_ends)


class OpenMongoChangeStream:
    """See api_server.ports.OpenChangeStream."""

    def __init__(self, database: Any, session: Any, cursor: Mapping[str, Any], *, only_ends: bool) -> None:
        self._database = database
        self._session = session
        self._cursor_id = cursor["id"]
        self._only_ends = only_ends
        self.position: str = cursor["postBatchResumeToken"]["_data"]

    async def next(self, about: Callable[[UUID], bool] | None = None) -> Changes:
        command = {
            "getMore": self._cursor_id,
            "collection": JOBS,
            "batchSize": BATCH,
            "maxTimeMS": AWAIT_MILLISECONDS,
        }
        async with within(ANSWER_SECONDS), _checked():
            answer = await self._database.command(command, session=self._session, codec_options=RAW_CODEC)
        cursor = answer["cursor"]
        if not cursor["id"]:
            # Somebody has dropped or renamed the collection.
            raise ResumeTokenExpired
        self.position = cursor["postBatchResumeToken"]["_data"]
        events = [(each["documentKey"]["_id"], each) for each in cursor["nextBatch"]]
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


def _check_age(position: str, present: int) -> None:
    """Raise ResumeTokenExpired if the position is too long ago. `present`: seconds since 1970."""
    if int(position[TIME], 16) < present - RESUME_SECONDS:
        raise ResumeTokenExpired


@asynccontextmanager
async def _checked() -> AsyncIterator[None]:
    """Raises ResumeTokenExpired, and InvalidArgument for what is no position."""
    try:
        yield
    except OperationFailure as error:
        if is_outage(error):
            raise
        if error.code in EXPIRED:
            raise ResumeTokenExpired from error
        if error.code in NO_POSITION:
            rule = "must be the resume_token of an earlier response"
            raise invalid("resume_token", "resume_token.format", rule) from None
        raise
