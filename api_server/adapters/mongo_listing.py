"""Reading jobs page by page.

Each page is one walk down one index, newest first, over EXAMINED entries at most:

    labels wanted                   (labels, _id), by one of the labels
    status failed or cancelled      (status, _id)
    everything else                 _id

Conditions that the index does not answer are checked on the documents. Where there are such, the id at the far end of
the walk is read first, from the index alone, and bounds the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bson.datetime_ms import DatetimeMS

from api_server.adapters.mongo_client import RAW_CODEC, Collection, Document, read_up_to
from api_server.adapters.mongo_documents import decode_job, label
from api_server.domain.job import Status
from api_server.domain.listing import JobFilter, JobPage

EXAMINED = 10_000
PAGE_BYTES = 4 * 1024 * 1024
BY_ID = {"_id": 1}
BY_STATUS = {"status": 1, "_id": 1}
BY_LABELS = {"labels": 1, "_id": 1}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OLDEST_ID = (24 * 60 + 1) * 60_000
NEWEST_ID = (5 + 1) * 60_000
"""Milliseconds by which the time in an id may lie before and after the job's create_time; a minute more than clients
are allowed.
"""


@dataclass(frozen=True, slots=True)
class Walk:
    """`index` and the part of it to walk (`within`), and what is checked on the documents met there (`besides`)."""

    index: Mapping[str, int]
    within: Document
    besides: Document


def plan_walk(wanted: JobFilter, after: UUID | None) -> Walk:
    """The cheapest walk that meets every wanted job with an id below `after`."""
    index = BY_ID
    within: Document = {}
    besides: Document = {}
    labels = sorted(label(key, value) for key, value in wanted.labels.items())
    if labels:
        index, within["labels"] = BY_LABELS, labels[0]
        if labels[1:]:
            besides["$and"] = [{"labels": other} for other in labels[1:]]
    if wanted.status in (Status.FAILED, Status.CANCELLED) and not labels:
        index, within["status"] = BY_STATUS, wanted.status.value
    elif wanted.status is not None:
        besides["status"] = wanted.status.value
    if wanted.type is not None:
        besides["type"] = wanted.type
    ids, create_time = _time_range(wanted)
    if after is not None:
        ids["$lt"] = min(after, ids.get("$lt", after))
    if ids:
        within["_id"] = ids
    if create_time:
        besides["create_time"] = create_time
    return Walk(index, within, besides)


def _time_range(wanted: JobFilter) -> tuple[Document, Document]:
    """Conditions on `_id`, which may let too many pass, and on `create_time`, which are exact."""
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
    """Since 1970, rounded up, so that comparing with stored times, which are whole, gives the same as comparing with `time`."""
    return -((EPOCH - time) // timedelta(milliseconds=1))


def _first_id(milliseconds: int) -> UUID:
    """The smallest id of a time."""
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


async def read_page(jobs: Collection, wanted: JobFilter, after: UUID | None, size: int) -> JobPage:
    """One page; see JobStore.page."""
    walk = plan_walk(wanted, after)
    far_end = await _far_end(jobs, walk) if walk.besides else None
    # One more than wanted tells whether this is the end.
    documents, complete = await read_up_to(find_newest(jobs, walk, far_end, size + 1), PAGE_BYTES)
    found = [decode_job(document) for document in documents[:size]]
    if not complete or len(documents) > size:
        return JobPage(found, found[-1].id)
    return JobPage(found, far_end)


def find_newest(jobs: Collection, walk: Walk, far_end: UUID | None, limit: int) -> Any:
    """A cursor over undecoded documents."""
    where = {**walk.within, **walk.besides}
    if far_end is not None:
        where["_id"] = {**walk.within.get("_id", {}), "$gte": far_end}
    undecoded = jobs.with_options(codec_options=RAW_CODEC)
    return undecoded.find(where).sort("_id", -1).hint(list(walk.index.items())).limit(limit)


def find_far_end(jobs: Collection, walk: Walk) -> Any:
    """A cursor over the one id at which a walk has met EXAMINED entries; empty if it ends sooner."""
    ids = jobs.find(walk.within, {"_id": 1}).sort("_id", -1).hint(list(walk.index.items()))
    return ids.skip(EXAMINED - 1).limit(1)


async def _far_end(jobs: Collection, walk: Walk) -> UUID | None:
    found = await find_far_end(jobs, walk).to_list(1)
    return found[0]["_id"] if found else None
