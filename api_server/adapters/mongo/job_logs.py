"""The logs of jobs: the JobLogStore.

Documents in `job_logs`, one for each job that has logged:

_id          the job's id
create_time  of the job: a job that was deleted and created again does not get the log of the former one
last, attempt, base
             see domain.job_log.JobLog
entries      [{number, time, kind, attempt, worker_id, level, logger, message}]

The log is read, changed and written back. The guard of the write is `last`: it goes up with each change.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from api_server.adapters.mongo.client import DUPLICATE_KEY, READ_SECONDS, Collection, Document, within
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import Writes, pauses, resend
from api_server.domain.job_log import EMPTY_LOG, AttemptLog, EntryKind, JobLog, LogEntry, LogPlace

AT_ONCE = 20
"""Logs that are in memory together. Each has up to about 100 KiB."""
BY_ID = [("_id", 1)]


class MongoJobLogStore:
    """See api_server.log_ports.JobLogStore."""

    def __init__(self, logs: Collection, jobs: Collection, reads: Reads, writes: Writes) -> None:
        self._logs = logs
        self._jobs = jobs
        # As the primary has them: an old version would only lead to another round.
        self._latest_logs, self._latest_jobs = (
            each.with_options(read_concern=ReadConcern("local")) for each in (logs, jobs)
        )
        self._reads = reads
        self._writes = writes

    async def append(self, worker_id: str, logs: Sequence[AttemptLog]) -> None:
        in_order = sorted(logs, key=lambda each: (each.job_id, each.attempt))
        by_id = {job_id: list(group) for job_id, group in groupby(in_order, lambda each: each.job_id)}
        job_ids = list(by_id)
        for start in range(0, len(job_ids), AT_ONCE):
            part = {job_id: by_id[job_id] for job_id in job_ids[start : start + AT_ONCE]}
            await self._writes.run(partial(self._append, worker_id, part))

    async def read(self, job_id: UUID) -> JobLog | None:
        async def read() -> JobLog | None:
            job = await self._jobs.find_one({"_id": job_id}, {"create_time": 1})
            if job is None:
                return None
            document = await self._logs.find_one({"_id": job_id})
            return _to_log(document, job)

        return await self._reads.run(read)

    async def entries_after(self, places: Sequence[LogPlace]) -> list[tuple[LogEntry, ...]]:
        lowest: dict[UUID, int] = {}
        for place in places:
            lowest[place.job_id] = min(place.number, lowest.get(place.job_id, place.number))
        where = {"_id": {"$in": list(lowest)}}

        async def read() -> dict[UUID, Mapping[str, Any]]:
            cursor = self._logs.find(where, _entries_after(lowest)).hint(BY_ID)
            return {each["_id"]: each async for each in cursor}

        found = await self._reads.run(read)
        return [_entries_of(place, found.get(place.job_id)) for place in places]

    async def delete(self, job_id: UUID) -> None:
        async def write() -> None:
            await resend(lambda: self._logs.delete_one({"_id": job_id}))

        await self._writes.run(write)

    async def delete_orphans(self, after: UUID | None, limit: int) -> UUID | None:
        where = {} if after is None else {"_id": {"$gt": after}}
        async with within(READ_SECONDS):
            # Both reads use the index alone.
            cursor = self._latest_logs.find(where, {"_id": 1}).sort("_id", 1).hint(BY_ID).limit(limit)
            log_ids = [document["_id"] for document in await cursor.to_list(limit)]
            of_jobs = self._latest_jobs.find({"_id": {"$in": log_ids}}, {"_id": 1}).hint(BY_ID)
            orphans = set(log_ids) - {document["_id"] async for document in of_jobs}
        if orphans:
            await self._writes.run(partial(self._delete_all, list(orphans)))
        return log_ids[-1] if len(log_ids) == limit else None

    async def _delete_all(self, job_ids: Sequence[UUID]) -> None:
        await resend(lambda: self._logs.delete_many({"_id": {"$in": job_ids}}))

    async def _append(self, worker_id: str, new: Mapping[UUID, Sequence[AttemptLog]]) -> None:
        """Until no log has changed between the read and the write. What is stored is not appended again."""
        for pause in pauses():
            if await self._append_once(worker_id, new):
                return
            await asyncio.sleep(pause)

    async def _append_once(self, worker_id: str, new: Mapping[UUID, Sequence[AttemptLog]]) -> bool:
        """Whether all logs were as they had been read."""
        wanted = {"_id": {"$in": list(new)}}
        jobs, documents = await asyncio.gather(
            resend(partial(_by_id, self._latest_jobs, wanted, ("create_time", "attempt", "worker_id"))),
            resend(partial(_by_id, self._latest_logs, wanted)),
        )
        changes: list[InsertOne[Document] | ReplaceOne[Document]] = []
        for job_id, job in jobs.items():
            document = documents.get(job_id)
            present = _to_log(document, job)
            log = present
            for each in new[job_id]:
                if _is_from_holder(job, worker_id, each.attempt):
                    log = log.with_attempt(each)
            if log is present:
                continue
            changed = _from_log(job, log)
            if document is None:
                changes.append(InsertOne(changed))
            else:
                guard = {name: document[name] for name in ("_id", "create_time", "last")}
                changes.append(ReplaceOne(guard, changed))
        return not changes or await resend(partial(self._write, changes))

    async def _write(self, changes: Sequence[InsertOne[Document] | ReplaceOne[Document]]) -> bool:
        """Whether all were applied."""
        try:
            answer = await self._logs.bulk_write(changes, ordered=False)
        except BulkWriteError as error:
            details = error.details
            if details["writeConcernErrors"] or any(
                failure["code"] != DUPLICATE_KEY for failure in details["writeErrors"]
            ):
                raise
            return False
        return int(answer.matched_count + answer.inserted_count) == len(changes)


def _is_from_holder(job: Mapping[str, Any], worker_id: str, attempt: int) -> bool:
    """Whether this worker may have run this attempt. Who ran an earlier one is not known any more."""
    if attempt < job["attempt"]:
        return True
    return bool(attempt == job["attempt"] and job.get("worker_id", worker_id) == worker_id)


async def _by_id(
    collection: Collection, where: Document, names: Sequence[str] | None = None
) -> dict[UUID, Mapping[str, Any]]:
    fields = None if names is None else dict.fromkeys(names, 1)
    return {each["_id"]: each async for each in collection.find(where, fields).hint(BY_ID)}


def _to_log(document: Mapping[str, Any] | None, job: Mapping[str, Any]) -> JobLog:
    if document is None or document["create_time"] != job["create_time"]:
        return EMPTY_LOG
    entries = tuple(map(_to_entry, document["entries"]))
    return JobLog(entries, document["last"], document["attempt"], document["base"])


def _to_entry(stored: Mapping[str, Any]) -> LogEntry:
    # The names are those of the fields.
    return LogEntry(**{**stored, "kind": EntryKind(stored["kind"])})


def _entries_after(numbers: Mapping[UUID, int]) -> Document:
    """What is read of logs: their entries after the number of each. mongod leaves out the others."""
    position = {"$indexOfArray": [{"$literal": list(numbers)}, "$_id"]}
    number = {"$arrayElemAt": [{"$literal": list(numbers.values())}, position]}
    after = {"$filter": {"input": "$entries", "cond": {"$gt": ["$$this.number", "$$number"]}}}
    return {"create_time": 1, "entries": {"$let": {"vars": {"number": number}, "in": after}}}


def _entries_of(place: LogPlace, log: Mapping[str, Any] | None) -> tuple[LogEntry, ...]:
    if log is None or log["create_time"] != place.create_time:
        return ()
    return tuple(_to_entry(each) for each in log["entries"] if each["number"] > place.number)


def _from_log(job: Mapping[str, Any], log: JobLog) -> Document:
    return {
        "_id": job["_id"],
        "create_time": job["create_time"],
        "last": log.last,
        "attempt": log.attempt,
        "base": log.base,
        "entries": [
            {name: getattr(each, name) for name in LogEntry.__dataclass_fields__} for each in log.entries
        ],
    }
