"""Reads a change stream batch by batch.

motor's own change stream needs a thread for each change, for a moment. Here one `getMore` brings up to BATCH
changes, and mongod sends only what is needed.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from api_server.adapters.mongo.client import RAW_CODEC, Client, Document, is_outage, within
from api_server.domain.errors import ResumeTokenExpired
from contract_runtime.errors import invalid

BATCH = 250
"""So many changes keep the event loop busy for a few milliseconds."""
AWAIT_MILLISECONDS = 500
"""How long mongod waits for a change before it answers that there is none."""
ANSWER_SECONDS = 6.0
"""The limit for one answer. The client's own limit, SOCKET_SECONDS, is shorter."""
RESUME_SECONDS = 3600
"""How far back a stream may begin. mongod reads its log from there on, and nothing limits that work."""
WHOLE_DATABASE = "$cmd.aggregate"
"""The collection of a cursor over all collections."""

EXPIRED = frozenset({260, 280, 286})
"""InvalidResumeToken, ChangeStreamFatalError and ChangeStreamHistoryLost: the log does not go back so far."""
NO_POSITION = frozenset({9, 40647, 40648, 40649, 50811})
"""FailedToParse, and the codes of mongod for a position that it cannot read."""
TIME = slice(2, 10)
"""Where a position has its time: seconds since 1970, in hexadecimal. The byte before is the type, a time."""


class ChangeCursor:
    """Reads the events of an open stream. `position`: after those that were read."""

    def __init__(self, database: Any, session: Any, collection: str, cursor: Mapping[str, Any]) -> None:
        self._database = database
        self._session = session
        self._collection = collection
        self._cursor_id = cursor["id"]
        self.position: str = cursor["postBatchResumeToken"]["_data"]

    async def next(self) -> Sequence[RawBSONDocument]:
        """The next events, as soon as there are any; none after AWAIT_MILLISECONDS without an event.

        Raises StoreUnavailable, ResumeTokenExpired.
        """
        command = {
            "getMore": self._cursor_id,
            "collection": self._collection,
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
        events: Sequence[RawBSONDocument] = cursor["nextBatch"]
        return events


@asynccontextmanager
async def open_cursor(
    client: Client,
    database: str,
    collection: str,
    pipeline: Sequence[Document],
    after: str | None = None,
) -> AsyncIterator[ChangeCursor]:
    """The events of `collection` after a position; None: from now on. `pipeline`: what mongod does with them.

    Raises StoreUnavailable, ResumeTokenExpired, InvalidArgument (`after` is no position).
    """
    stream_of: Any = 1 if collection == WHOLE_DATABASE else collection
    async with within(ANSWER_SECONDS):
        session = await client.start_session()
    # A cursor belongs to its session, and mongod closes both when the session ends.
    async with session:
        begin = {} if after is None else {"resumeAfter": {"_data": after}}
        command = {
            "aggregate": stream_of,
            "pipeline": [{"$changeStream": begin}, *pipeline],
            "cursor": {"batchSize": 0},
        }
        async with within(ANSWER_SECONDS), _checked():
            answer = await client[database].command(command, session=session)
        if after is not None:
            _check_age(after, answer["operationTime"].time)
        yield ChangeCursor(client[database], session, collection, answer["cursor"])


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
