"""The workers by their names: the WorkerStore.

There is one document for each name, so that one guarded write decides which worker has it. The worker that
had the name before is unknown from then on.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pymongo.errors import DuplicateKeyError

from api_server.adapters.mongo.client import Collection, Document
from api_server.adapters.mongo.indexes import WORKER_SECONDS
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import Writes, pauses, resend
from api_server.domain.fleet import Worker, WorkerIdentity, WorkerReport
from api_server.ports import Clock

HANDLERS = "handlers"
"""The field with the worker's types, each with the id of its schema as in `type:id`."""


class MongoWorkerStore:
    """See api_server.ports.WorkerStore."""

    def __init__(self, workers: Collection, reads: Reads, writes: Writes, clock: Clock) -> None:
        self._workers = workers
        self._reads = reads
        self._writes = writes
        self._clock = clock

    async def take_name(
        self,
        identity: WorkerIdentity,
        may_replace: Callable[[Worker], bool],
        now: datetime,
        session: str = "",
    ) -> Worker:
        async def write() -> Worker:
            for pause in pauses():
                holder = await resend(lambda: self._holder(identity.name))
                where: Document | None = None
                if holder is None:
                    worker = Worker(identity, WorkerReport(), now, session=session)
                elif holder.identity.worker_id == identity.worker_id:
                    if holder.session != session:
                        return holder
                    last_heartbeat = max(now, holder.last_heartbeat_time)
                    worker = Worker(identity, holder.report, last_heartbeat, holder.predecessor, session)
                    where = {"worker_id": identity.worker_id}
                elif may_replace(holder):
                    worker = Worker(
                        identity, WorkerReport(), now, predecessor=holder.identity.worker_id, session=session
                    )
                    # Only in the state that `may_replace` has seen: a heartbeat since then keeps the name.
                    where = {
                        "worker_id": holder.identity.worker_id,
                        "last_heartbeat_time": holder.last_heartbeat_time,
                    }
                else:
                    return holder
                # If it was stored and is sent again, it does not match, and the next round finds that the
                # name is ours.
                if await resend(partial(self._store, worker, where)):
                    return worker
                await asyncio.sleep(pause)
            raise AssertionError("pauses never end")

        return await self._writes.run(write)

    async def heartbeat(self, worker_id: str, report: WorkerReport, now: datetime) -> bool:
        change = {"$set": {"report": _from_report(report)}, "$max": {"last_heartbeat_time": now}}

        async def write() -> bool:
            answer = await resend(lambda: self._workers.update_one({"worker_id": worker_id}, change))
            return bool(answer.matched_count)

        return await self._writes.run(write)

    async def workers(self) -> list[Worker]:
        since = self._clock.now() - timedelta(seconds=WORKER_SECONDS)

        async def read() -> list[Worker]:
            cursor = self._workers.find({"last_heartbeat_time": {"$gte": since}}).sort("worker_id", 1)
            return [_to_worker(document) async for document in cursor]

        return await self._reads.run(read)

    async def sessions(self, worker_ids: Iterable[str]) -> Mapping[str, str]:
        async def read() -> dict[str, str]:
            wanted, fields = {"worker_id": {"$in": list(worker_ids)}}, {"worker_id": 1, "session": 1}
            cursor = self._workers.find(wanted, fields)
            return {document["worker_id"]: document.get("session", "") async for document in cursor}

        return await self._reads.run(read)

    async def live_handlers(self, since: datetime) -> Mapping[str, AbstractSet[str]]:
        where = {"last_heartbeat_time": {"$gte": since}, "report.state": {"$ne": "draining"}}

        async def read() -> Mapping[str, AbstractSet[str]]:
            handlers: dict[str, set[str]] = {}
            # Workers that registered with a server of an earlier version have types only.
            for each in (
                *await self._workers.distinct(HANDLERS, where),
                *await self._workers.distinct("types", where | {HANDLERS: {"$exists": False}}),
            ):
                job_type, _, schema_id = each.partition(":")
                handlers.setdefault(job_type, set()).add(schema_id)
            return handlers

        return await self._reads.run(read)

    async def _holder(self, name: str) -> Worker | None:
        document = await self._workers.find_one({"_id": name})
        return _to_worker(document) if document is not None else None

    async def _store(self, worker: Worker, where: Document | None) -> bool:
        """Whether it was stored: only if the name's holder matches `where`, or, if that is None, no worker
        has the name.
        """
        document = _from_worker(worker)
        if where is None:
            try:
                await self._workers.insert_one(document)
            except DuplicateKeyError:
                return False
            return True
        answer = await self._workers.replace_one({"_id": document["_id"], **where}, document)
        return bool(answer.matched_count)


def _handler(job_type: str, schema_id: str | None) -> str:
    return job_type if schema_id is None else f"{job_type}:{schema_id}"


def _to_worker(document: Mapping[str, Any]) -> Worker:
    report = document["report"]
    return Worker(
        WorkerIdentity(
            document["worker_id"],
            document["_id"],
            document["host"],
            document["pid"],
            tuple(document["types"]),
            dict(each.split(":") for each in document.get(HANDLERS, ()) if ":" in each),
            # A server of an earlier version stores neither.
            document.get("start_time"),
            document.get("version", ""),
        ),
        WorkerReport(
            report["state"],
            {each["topic"]: tuple(each["partitions"]) for each in report["assignments"]},
            report["in_flight"],
            report["completed_total"],
            report["failed_total"],
            report["fleet_revision"],
            # A server of an earlier version stores none.
            tuple(report.get("busy_types", ())),
        ),
        document["last_heartbeat_time"],
        document["predecessor"],
        document.get("session", ""),
    )


def _from_worker(worker: Worker) -> Document:
    identity = worker.identity
    return {
        "_id": identity.name,
        "worker_id": identity.worker_id,
        "host": identity.host,
        "pid": identity.pid,
        "types": list(identity.types),
        HANDLERS: [_handler(each, identity.schema_ids.get(each)) for each in identity.types],
        "start_time": identity.start_time,
        "version": identity.version,
        "report": _from_report(worker.report),
        "last_heartbeat_time": worker.last_heartbeat_time,
        "predecessor": worker.predecessor,
        "session": worker.session,
    }


def _from_report(report: WorkerReport) -> Document:
    # Topics are not used as keys, because their names have dots.
    assignments = [{"topic": topic, "partitions": list(p)} for topic, p in report.assignments.items()]
    return {
        "state": report.state,
        "assignments": assignments,
        "in_flight": report.in_flight,
        "completed_total": report.completed_total,
        "failed_total": report.failed_total,
        "fleet_revision": report.fleet_revision,
        "busy_types": list(report.busy_types),
    }
