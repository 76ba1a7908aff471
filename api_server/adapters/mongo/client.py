"""The connection to MongoDB, its time limits, and which of its errors are an outage.

Only this module names motor, and it uses only calls that PyMongo's AsyncMongoClient has, too: to replace
motor, change this module.
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidName,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from api_server.domain.errors import StoreUnavailable, WrongStoreAddress
from service_runtime.outage import Outage

OPERATIONS = 200
"""How many operations may run at a time.

Each one occupies a thread of motor and a connection until a majority has its write or it times out. With
motor's default of 5 threads for each CPU, one second of replication lag, or a primary that does not answer,
delayed all other operations.
"""
CONNECTING = 20
"""How many connections may be opened at a time.

With the driver's default of 2, many operations time out while they wait for a connection to a new or slow
primary.
"""
os.environ["MOTOR_MAX_WORKERS"] = str(OPERATIONS)
from motor.motor_asyncio import AsyncIOMotorClient  # noqa: E402 - motor reads the setting above when it is imported

OPERATION_SECONDS = 2.0
"""The driver's limit for one operation. It includes waiting for a server and for a connection."""
SOCKET_SECONDS = 5.0
"""How long an operation of the client for streams may leave its connection without an answer."""
READ_SECONDS = 2.5
"""The limit for one read: the driver's limit, and some time to wait in motor's thread pool."""

Document = dict[str, Any]
Client = Any
Collection = Any
"""motor has no type annotations."""

CODEC: CodecOptions[Mapping[str, Any]] = CodecOptions(
    document_class=dict, tz_aware=True, uuid_representation=UuidRepresentation.STANDARD, tzinfo=UTC
)
RAW_CODEC: CodecOptions[RawBSONDocument] = CODEC.with_options(document_class=RawBSONDocument)

DUPLICATE_KEY = 11000
"""Server error code: a document with this `_id` exists already."""
INTERRUPTED = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        43,  # CursorNotFound
        50,  # MaxTimeMSExpired
        64,  # WriteConcernFailed
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        112,  # WriteConflict
        134,  # ReadConcernMajorityNotAvailableYet
        175,  # QueryPlanKilled
        189,  # PrimarySteppedDown
        237,  # CursorKilled
        262,  # ExceededTimeLimit
        365,  # TemporarilyUnavailable
        9001,  # SocketException
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted
        11602,  # InterruptedDueToReplStateChange
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
    }
)
"""Server error codes after which the same statement may succeed."""

URI_RULE = (
    "must be a URI such as mongodb://user:password@host:27017/?replicaSet=rs0, with : / ? # [ ] @ and % in "
    "user and password escaped (%40 for @); files that it names must be readable"
)

outage = Outage("mongodb", quiet_seconds=5.0)


@asynccontextmanager
async def open_client(uri: str) -> AsyncIterator[Client]:
    """A client for `uri`, not connected yet. Raises WrongStoreAddress.

    The write and read concerns set here override options in the URI.
    """
    client = _client(
        uri,
        timeoutMS=int(OPERATION_SECONDS * 1000),
        serverSelectionTimeoutMS=int(OPERATION_SECONDS * 1000),
        connectTimeoutMS=int(OPERATION_SECONDS * 1000),
        maxPoolSize=OPERATIONS,
        maxConnecting=CONNECTING,
        # Secondaries are asked only to compare their clocks, and then both near and distant ones.
        localThresholdMS=int(OPERATION_SECONDS * 1000),
        w="majority",
        journal=True,
        readConcernLevel="majority",
        readPreference="primary",
        # Writes are sent again by Writes.resend, and their guards tell what was done before. The driver's
        # own way makes mongod write the session of each statement: a fifth more work for inserts.
        retryWrites=False,
        uuidRepresentation="standard",
        tz_aware=True,
        tzinfo=UTC,
    )
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def open_stream_client(uri: str) -> AsyncIterator[Client]:
    """A client whose operations may wait in mongod for something to happen, not connected yet.

    The other client limits each operation to OPERATION_SECONDS, and tells mongod to stop it then.
    """
    client = _client(
        uri,
        timeoutMS=None,
        serverSelectionTimeoutMS=int(OPERATION_SECONDS * 1000),
        connectTimeoutMS=int(OPERATION_SECONDS * 1000),
        socketTimeoutMS=int(SOCKET_SECONDS * 1000),
        readPreference="primary",
    )
    try:
        yield client
    finally:
        client.close()


def _client(uri: str, **options: Any) -> Client:
    try:
        return AsyncIOMotorClient(uri, **options)
    except (ConfigurationError, InvalidName, ValueError, OSError):
        # The driver's own text may show a part of the URI: of a password that is not escaped, for example.
        raise WrongStoreAddress(URI_RULE) from None


def is_outage(error: PyMongoError) -> bool:
    """Whether the database did not or could not answer. The outcome of a write is unknown then."""
    if isinstance(error, ConnectionFailure | WriteConcernError) or error.timeout:
        return True
    if isinstance(error, BulkWriteError):
        # The errors of the single writes decide. If there are none, or only duplicate keys, the majority has
        # not confirmed the write.
        return all(
            e.get("code") in {*INTERRUPTED, DUPLICATE_KEY} for e in error.details.get("writeErrors", [])
        )
    return isinstance(error, OperationFailure) and error.code in INTERRUPTED


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raises StoreUnavailable for an outage, and after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        outage.failed(f"no answer within {seconds:g} s")
        raise StoreUnavailable from error
    except PyMongoError as error:
        if not is_outage(error):
            raise
        note_failure(error)
        raise StoreUnavailable from error
    else:
        outage.succeeded()


def note_failure(error: PyMongoError) -> None:
    """Log that an operation failed in an outage.

    It affects every caller, so a few log lines stand for all of them.
    """
    outage.failed(f"{type(error).__name__}: {str(error)[:300]}")


async def read_up_to(
    cursor: Any, max_bytes: int, seconds: float = math.inf
) -> tuple[list[RawBSONDocument], bool]:
    """Documents of a cursor over RawBSONDocument, of `max_bytes` together or a single larger one; and whether
    these are all. Ends after about `seconds`, if it has read one then.
    """
    documents: list[RawBSONDocument] = []
    size, end = 0, time.monotonic() + seconds
    try:
        async for document in cursor:
            size += len(document.raw)
            if documents and (size > max_bytes or time.monotonic() > end):
                return documents, False
            documents.append(document)
    finally:
        await cursor.close()
    return documents, True
