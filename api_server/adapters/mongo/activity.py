"""What the API servers counted: the ActivityStore.

Documents in `activity`:

_id       "<minute>/<process>", or "totals"
minute    when the minute began; absent in the totals. MongoDB deletes the document by it
types     {type: {created, started, completed, failed, cancelled, to_start, run}}; the last two are
          histograms, {bucket: weight}. In the totals {type: {completed, failed, cancelled}}
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from api_server.adapters.mongo.client import READ_SECONDS, Collection, Document, within
from api_server.adapters.mongo.writes import Writes, resend
from api_server.domain.activity import COUNTS, NO_TYPE, Activity, ByType, EndTimes, Totals

TOTALS_ID = "totals"
MAX_DOCUMENTS = 10_000
"""How many documents are read at most: 60 minutes of 166 processes."""
UNKNOWN = "?"
"""The key for jobs of an unknown type: a key cannot be empty."""


class MongoActivityStore:
    """See api_server.stats_ports.ActivityStore."""

    def __init__(self, activity: Collection, jobs: Collection, writes: Writes) -> None:
        self._activity = activity
        self._jobs = jobs
        self._writes = writes

    async def put(self, process: str, minute: datetime, counts: Mapping[str, Activity]) -> None:
        document: Document = {
            "_id": f"{minute.isoformat(timespec='minutes')}/{process}",
            "minute": minute,
            "types": {_key(job_type): _from_activity(each) for job_type, each in counts.items()},
        }

        async def write() -> None:
            # The whole minute, so that sending it again has no effect.
            await resend(lambda: self._activity.replace_one({"_id": document["_id"]}, document, upsert=True))

        await self._writes.run(write)

    async def add_totals(self, totals: Mapping[str, Totals]) -> None:
        increments = {
            f"types.{_key(job_type)}.{name}": getattr(each, name)
            for job_type, each in totals.items()
            for name in Totals.__dataclass_fields__
        }
        async with within(READ_SECONDS):
            await self._activity.update_one({"_id": TOTALS_ID}, {"$inc": increments}, upsert=True)

    async def minutes(self, since: datetime) -> Sequence[tuple[datetime, ByType]]:
        async with within(READ_SECONDS):
            cursor = self._activity.find({"minute": {"$gte": since}}).limit(MAX_DOCUMENTS)
            documents = await cursor.to_list(None)
        return [
            (each["minute"], {_type(key): _to_activity(value) for key, value in each["types"].items()})
            for each in documents
        ]

    async def totals(self) -> Mapping[str, Totals]:
        async with within(READ_SECONDS):
            document: Any = await self._activity.find_one({"_id": TOTALS_ID})
        types = {} if document is None else document["types"]
        return {_type(key): Totals(**value) for key, value in types.items()}

    async def end_times(self, job_ids: Sequence[UUID]) -> Sequence[EndTimes]:
        fields = dict.fromkeys(
            ("type", "create_time", "schedule_time", "start_time", "end_time", "attempt"), 1
        )
        is_there = {"$exists": True}
        where = {"_id": {"$in": list(job_ids)}, "start_time": is_there, "end_time": is_there}
        async with within(READ_SECONDS):
            cursor = self._jobs.find(where, fields).hint([("_id", 1)])
            documents = await cursor.to_list(None)
        return [_to_end_times(each) for each in documents]


def _to_end_times(document: Mapping[str, Any]) -> EndTimes:
    could_start = None
    if document["attempt"] == 1:
        could_start = max(document["create_time"], document.get("schedule_time") or document["create_time"])
    return EndTimes(document["type"], could_start, document["start_time"], document["end_time"])


def _key(job_type: str) -> str:
    return job_type or UNKNOWN


def _type(key: str) -> str:
    return NO_TYPE if key == UNKNOWN else key


def _from_activity(activity: Activity) -> Document:
    document: Document = {name: getattr(activity, name) for name in COUNTS}
    for name in ("to_start", "run"):
        document[name] = {str(bucket): weight for bucket, weight in getattr(activity, name).items()}
    return document


def _to_activity(document: Mapping[str, Any]) -> Activity:
    activity = Activity(**{name: document[name] for name in COUNTS})
    for histogram, name in ((activity.to_start, "to_start"), (activity.run, "run")):
        histogram.update({int(bucket): weight for bucket, weight in document[name].items()})
    return activity
