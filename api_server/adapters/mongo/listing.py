"""Reading jobs page by page.

Each page is a part of a walk through one index, newest job first:

    filter by labels                (labels, _id), by one of the labels
    status failed or cancelled      (status, _id)
    everything else                 _id

MongoDB checks all other conditions on the documents, which it must read for that, and which may be large.
With such conditions, the walk is done in stretches. For each stretch, the id at its far end is read first,
from the index alone, then the jobs up to it. The time of one stretch decides how many entries the next one
has. So a page ends in time and at a known id, even if no job meets the conditions.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pymongo
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from api_server.adapters.mongo.client import RAW_CODEC, Collection, Document, read_up_to
from api_server.adapters.mongo.document_parts import label
from api_server.adapters.mongo.documents import decode_job
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobFilter, JobPage

EXAMINED = 10_000
"""Index entries that a page examines at most."""
PAGE_BYTES = 4 * 1024 * 1024
"""Bytes that are read for a page, as stored. A larger job is a page of its own."""
SEARCH_SECONDS = 1.0
"""After this time a page begins no further stretch."""
FIRST_STRETCH = 100
STRETCH_SECONDS = 0.5
"""After this time a stretch is stopped, and a shorter one is tried. So a page ends within READ_SECONDS."""
AIM_SECONDS = 0.1
"""How long a stretch should take."""
MAX_GROWTH, SHRINKAGE = 4, 8
BY_ID = {"_id": 1}
BY_STATUS = {"status": 1, "_id": 1}
BY_LABELS = {"labels": 1, "_id": 1}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OLDEST_ID = (24 * 60 + 1) * 60_000
NEWEST_ID = (5 + 1) * 60_000
"""Milliseconds by which the time in an id may lie before and after the job's create_time: one minute more
than the limits for clients.
"""


@dataclass(frozen=True, slots=True)
class Walk:
    """An index, the part of it to walk (`within`), and the conditions to check on the documents
    (`conditions`).
    """

    index: Mapping[str, int]
    within: Document
    conditions: Document

    def below(self, job_id: UUID) -> "Walk":
        """The rest of the walk after this id."""
        return replace(self, within={**self.within, "_id": {**self.within.get("_id", {}), "$lt": job_id}})


def plan_walk(wanted: JobFilter, after: UUID | None) -> Walk:
    """The cheapest walk that finds every wanted job with an id below `after`."""
    index = BY_ID
    within: Document = {}
    conditions: Document = {}
    labels = sorted(label(key, value) for key, value in wanted.labels.items())
    if labels:
        index, within["labels"] = BY_LABELS, labels[0]
        if labels[1:]:
            conditions["$and"] = [{"labels": other} for other in labels[1:]]
    if wanted.status in (Status.FAILED, Status.CANCELLED) and not labels:
        index, within["status"] = BY_STATUS, wanted.status.value
    elif wanted.status is not None:
        conditions["status"] = wanted.status.value
    if wanted.type is not None:
        conditions["type"] = wanted.type
    ids, create_time = _time_range(wanted)
    if after is not None:
        ids["$lt"] = min(after, ids.get("$lt", after))
    if ids:
        within["_id"] = ids
    if create_time:
        conditions["create_time"] = create_time
    return Walk(index, within, conditions)


def _time_range(wanted: JobFilter) -> tuple[Document, Document]:
    """Conditions on `_id`, which may admit too many jobs, and on `create_time`, which are exact."""
    ids: Document = {}
    create_time: Document = {}
    if wanted.created_from is not None:
        first = _milliseconds(wanted.created_from)
        create_time["$gte"] = DatetimeMS(first)
        ids["$gte"] = _first_id(first - OLDEST_ID)
    if wanted.created_before is not None:
        end = _milliseconds(wanted.created_before)
        create_time["$lt"] = DatetimeMS(end)
        ids["$lt"] = _first_id(end + NEWEST_ID)
    return ids, create_time


def _milliseconds(time: datetime) -> int:
    """Milliseconds since 1970, rounded up.

    Stored times are whole milliseconds, so they compare with the result as with `time`.
    """
    return -((EPOCH - time) // timedelta(milliseconds=1))


def _first_id(milliseconds: int) -> UUID:
    """The smallest id of a time."""
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


async def read_page(jobs: Collection, wanted: JobFilter, after: UUID | None, size: int) -> JobPage:
    """One page; see JobStore.page."""
    walk = plan_walk(wanted, after)
    if walk.conditions:
        return await _search(jobs, walk, size)
    # One more than wanted shows whether this is the last page.
    documents, complete = await read_up_to(find_newest(jobs, walk, None, size + 1), PAGE_BYTES)
    found = [decode_job(document) for document in documents[:size]]
    return JobPage(found, None if complete and len(documents) <= size else found[-1].id)


async def _search(jobs: Collection, walk: Walk, size: int) -> JobPage:
    found: list[Job] = []
    bytes_left, entries_left, entries = PAGE_BYTES, EXAMINED, FIRST_STRETCH
    reached: UUID | None = None
    start = time.monotonic()
    while True:
        entries = min(entries, entries_left)
        far_end = await _far_end(jobs, walk, entries)
        begin = time.monotonic()
        wanted = size - len(found)
        try:
            documents, complete = await read_stretch(jobs, walk, far_end, wanted + 1, bytes_left)
        except (ExecutionTimeout, NetworkTimeout):
            if reached and time.monotonic() - start > SEARCH_SECONDS:
                return JobPage(found, reached)
            if entries == 1:
                raise
            entries = max(entries // SHRINKAGE, 1)
            continue
        found += map(decode_job, documents[:wanted])
        if not complete or len(documents) > wanted:
            return JobPage(found, found[-1].id)
        if far_end is None:
            return JobPage(found, None)
        entries_left -= entries
        bytes_left -= sum(len(document.raw) for document in documents)
        now = time.monotonic()
        is_full = len(found) == size or bytes_left <= 0 or entries_left == 0
        if is_full or now - start > SEARCH_SECONDS:
            return JobPage(found, far_end)
        walk, reached = walk.below(far_end), far_end
        entries = next_stretch(entries, now - begin)


def next_stretch(entries: int, seconds: float) -> int:
    """How many entries to look at next, when the last ones took `seconds`."""
    return max(int(entries * min(AIM_SECONDS / max(seconds, 0.001), MAX_GROWTH)), 1)


async def read_stretch(
    jobs: Collection, walk: Walk, far_end: UUID | None, limit: int, max_bytes: int
) -> tuple[list[RawBSONDocument], bool]:
    """See read_up_to. Raises ExecutionTimeout or NetworkTimeout when it takes too long."""
    with pymongo.timeout(STRETCH_SECONDS):
        return await read_up_to(find_newest(jobs, walk, far_end, limit), max_bytes)


def find_newest(jobs: Collection, walk: Walk, far_end: UUID | None, limit: int) -> Any:
    """A cursor over undecoded documents."""
    where = {**walk.within, **walk.conditions}
    if far_end is not None:
        where["_id"] = {**walk.within.get("_id", {}), "$gte": far_end}
    undecoded = jobs.with_options(codec_options=RAW_CODEC)
    return undecoded.find(where).sort("_id", -1).hint(list(walk.index.items())).limit(limit)


def find_far_end(jobs: Collection, walk: Walk, entries: int) -> Any:
    """A cursor over the id of entry number `entries` of a walk; empty if the walk has fewer."""
    ids = jobs.find(walk.within, {"_id": 1}).sort("_id", -1).hint(list(walk.index.items()))
    return ids.skip(entries - 1).limit(1)


async def _far_end(jobs: Collection, walk: Walk, entries: int) -> UUID | None:
    found = await find_far_end(jobs, walk, entries).to_list(1)
    return found[0]["_id"] if found else None
