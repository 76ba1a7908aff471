"""The names of the collections, and the names that some of them had before.

A start renames what is still there under a former name. A rename is one atomic step, keeps documents and
indexes, and succeeds once: of servers that start at the same time, one renames and the others find nothing to
rename.

A server of the version before that still runs creates the collections under the former names again, and does
not see what is stored under the new ones. The next start moves what that server stored. Until the last such
server has stopped:

- An idempotency key that reaches both versions may create two jobs. Nothing else is stored twice.
- A worker is unknown to one of the versions, registers again, and keeps its jobs.
- Each version elects a leader. Their writes are guarded, so each job changes once; a record may be published
  twice, and the second claim is refused.
"""

from typing import Any

import pymongo
import structlog
from pymongo.errors import BulkWriteError, OperationFailure

from api_server.adapters.mongo.client import DUPLICATE_KEY, RAW_CODEC, Collection, within
from api_server.domain.errors import StoreUnavailable

ACTIVITY = "activity"
JOBS = "jobs"
JOB_LOGS = "job_logs"
JOB_TYPES = "job_types"
HANDLER_SCHEMAS = "handler_schemas"
IDEMPOTENCY_KEYS = "idempotency_keys"
WORKERS = "workers"
LEADER_LEASES = "leader_leases"
FLEET = "fleet"
ELECTIONS = "elections"
OPERATIONS = "operations"

FORMER_NAMES = {"keys": IDEMPOTENCY_KEYS, "worker_names": WORKERS, "leases": LEADER_LEASES}
"""Each former name, and the name that replaces it."""
RENAME_SECONDS = 60.0
"""How long a start may take to rename all collections and to move documents."""
MOVED_TOGETHER = 1000
"""Documents that are moved by one statement."""

NAMESPACE_NOT_FOUND, NAMESPACE_EXISTS = 26, 48
BUSY = frozenset({117, 12587})
"""ConflictingOperationInProgress and BackgroundOperationInProgressForNamespace: an index is being built, for
example.
"""

log = structlog.get_logger()


async def rename_collections(database: Any) -> None:
    """Give the collections their present names. Must run before the indexes are created.

    Raises StoreUnavailable if MongoDB does not answer or a collection is busy: the caller may try again.
    """
    with pymongo.timeout(RENAME_SECONDS):
        async with within(RENAME_SECONDS):
            for former, name in FORMER_NAMES.items():
                await _rename(database[former], database[name])


async def _rename(former: Collection, present: Collection) -> None:
    try:
        await former.rename(present.name)
    except OperationFailure as error:
        if error.code == NAMESPACE_NOT_FOUND:
            return
        if error.code in BUSY:
            raise StoreUnavailable from error
        if error.code != NAMESPACE_EXISTS:
            raise
        await _move_documents(former, present)
    else:
        log.info("collection_renamed", former=former.name, name=present.name)


async def _move_documents(former: Collection, present: Collection) -> None:
    """Move what a server of the version before has stored since the rename. If both have an `_id`, `present`
    keeps its own.

    The former collection stays, though empty: dropping it could lose a document that is being stored just
    then.
    """
    undecoded = former.with_options(codec_options=RAW_CODEC)
    moved = 0
    while documents := await undecoded.find(limit=MOVED_TOGETHER).to_list(None):
        try:
            await present.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            refusals = [each for each in error.details["writeErrors"] if each["code"] != DUPLICATE_KEY]
            if refusals or error.details["writeConcernErrors"]:
                raise
        await former.delete_many({"_id": {"$in": [document["_id"] for document in documents]}})
        moved += len(documents)
    if moved:
        log.info("documents_moved", former=former.name, name=present.name, count=moved)
