"""The workers and the wish for them: the FleetStore."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pymongo import ReturnDocument

from api_server.adapters.mongo_client import READ_SECONDS, Collection, Document, within
from api_server.adapters.mongo_indexes import WORKER_SECONDS
from api_server.adapters.mongo_writes import Writes, resend
from api_server.domain.fleet import Fleet, Worker, WorkerIdentity, WorkerReport
from api_server.ports import Clock

WISH = {"_id": "fleet"}
"""The one document of its collection."""


class MongoFleetStore:
    """See api_server.ports.FleetStore."""

    def __init__(self, fleet: Collection, workers: Collection, writes: Writes, clock: Clock) -> None:
        self._fleet = fleet
        self._workers = workers
        self._writes = writes
        self._clock = clock

    async def register(self, identity: WorkerIdentity, now: datetime) -> None:
        known = {
            "name": identity.name,
            "host": identity.host,
            "pid": identity.pid,
            "types": list(identity.types),
            "last_heartbeat_time": now,
        }
        at_first = {"report": _from_report(WorkerReport())}
        update = {"$set": known, "$setOnInsert": at_first}
        await self._writes.run(partial(self._update_worker, identity.worker_id, update, upsert=True))

    async def heartbeat(self, worker_id: str, report: WorkerReport, now: datetime) -> bool:
        update = {"$set": {"report": _from_report(report), "last_heartbeat_time": now}}
        return await self._writes.run(partial(self._update_worker, worker_id, update, upsert=False))

    async def fleet(self) -> Fleet:
        async with within(READ_SECONDS):
            document = await self._fleet.find_one(WISH)
        return _to_fleet(document) if document is not None else Fleet()

    async def set_consuming(self, consuming: bool) -> Fleet:
        unset = Fleet()
        wished = {"$ifNull": ["$consuming", unset.consuming]}
        revision = {"$ifNull": ["$revision", unset.revision]}
        next_revision = {"$cond": [{"$eq": [wished, consuming]}, revision, {"$add": [revision, 1]}]}
        # The revision depends on the stored wish within one statement, so sent again it counts once.
        update = [{"$set": {"consuming": consuming, "revision": next_revision}}]

        async def write() -> Any:
            return await resend(
                lambda: self._fleet.find_one_and_update(
                    WISH, update, upsert=True, return_document=ReturnDocument.AFTER
                )
            )

        return _to_fleet(await self._writes.run(write))

    async def workers(self) -> list[Worker]:
        since = self._clock.now() - timedelta(seconds=WORKER_SECONDS)
        async with within(READ_SECONDS):
            cursor = self._workers.find({"last_heartbeat_time": {"$gte": since}}).sort("_id", 1)
            return [_to_worker(document) async for document in cursor]

    async def _update_worker(self, worker_id: str, update: Document, *, upsert: bool) -> bool:
        """Whether the worker was known."""
        answer = await resend(lambda: self._workers.update_one({"_id": worker_id}, update, upsert=upsert))
        return bool(answer.matched_count)


def _to_fleet(document: Mapping[str, Any]) -> Fleet:
    return Fleet(document["consuming"], document["revision"])


def _to_worker(document: Mapping[str, Any]) -> Worker:
    report = document["report"]
    return Worker(
        WorkerIdentity(
            document["_id"], document["name"], document["host"], document["pid"], tuple(document["types"])
        ),
        WorkerReport(
            report["state"],
            {each["topic"]: tuple(each["partitions"]) for each in report["assignments"]},
            report["in_flight"],
            report["completed_total"],
            report["failed_total"],
            report["fleet_revision"],
        ),
        document["last_heartbeat_time"],
    )


def _from_report(report: WorkerReport) -> Document:
    # Topics have dots in their names, so they are no keys.
    assignments = [{"topic": topic, "partitions": list(p)} for topic, p in report.assignments.items()]
    return {
        "state": report.state,
        "assignments": assignments,
        "in_flight": report.in_flight,
        "completed_total": report.completed_total,
        "failed_total": report.failed_total,
        "fleet_revision": report.fleet_revision,
    }
