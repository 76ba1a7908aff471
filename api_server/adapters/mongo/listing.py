"""Reads jobs page by page, and counts them.

A page is a part of a walk through one index, see walk.py. If conditions are checked on the documents, or only
some fields of large documents are read, the walk is done in stretches, see stretches.py.
"""

from collections.abc import Collection as Group
from typing import Any, NamedTuple
from uuid import UUID

import pymongo
from bson.raw_bson import RawBSONDocument

from api_server.adapters.mongo.client import RAW_CODEC, Collection, Document, read_up_to
from api_server.adapters.mongo.stretches import (
    EXAMINED,
    SEARCH_SECONDS,
    STRETCH_SECONDS,
    examine_in_stretches,
)
from api_server.adapters.mongo.walk import Walk, plan_walk
from api_server.domain.errors import AnswerTooLarge
from api_server.domain.listing import JobCount, JobFilter, PageRequest, View

PAGE_BYTES = 4 * 1024 * 1024
"""Bytes that are read for a page, as stored. A larger job is a page of its own."""
WITHOUT = {View.FULL: None, View.BASIC: {"payload": 0, "result": 0, "history": 0}}
"""The fields that are not read."""
TOGETHER = 100
"""How many jobs of a basic view one statement reads by their ids. Each document may have several MiB, which
MongoDB reads to return a small part of it.
"""


class RawPage(NamedTuple):
    """A JobPage whose jobs are not decoded. That takes long, and has nothing to do with the database."""

    documents: list[RawBSONDocument]
    next_after: UUID | None


async def read_page(jobs: Collection, wanted: JobFilter, page: PageRequest) -> RawPage:
    """See JobStore.page."""
    walk = plan_walk(wanted, oldest_first=page.oldest_first)
    if walk is None:
        return RawPage([], None)
    if page.after is not None:
        walk = walk.after(page.after)
    if walk.conditions or page.view is not View.FULL:
        return await _search(jobs, walk, page)
    # One more than wanted shows whether this is the last page.
    cursor = find_jobs(jobs, walk, page.size + 1)
    documents, complete = await read_up_to(cursor, PAGE_BYTES, SEARCH_SECONDS)
    found = documents[: page.size]
    return RawPage(found, None if complete and len(documents) <= page.size else found[-1]["_id"])


async def _search(jobs: Collection, walk: Walk, page: PageRequest) -> RawPage:
    found: list[RawBSONDocument] = []
    bytes_left = PAGE_BYTES
    is_cut = False

    async def examine(stretch: Walk) -> bool:
        nonlocal bytes_left, is_cut
        room = page.size - len(found)
        documents, complete = await read_stretch(jobs, stretch, room + 1, bytes_left, page.view)
        found.extend(documents[:room])
        is_cut = not complete or len(documents) > room
        bytes_left -= sum(len(document.raw) for document in documents)
        return not is_cut and len(found) < page.size and bytes_left > 0

    reached = await examine_in_stretches(jobs, walk, examine)
    return RawPage(found, found[-1]["_id"] if is_cut else reached)


async def count_jobs(jobs: Collection, wanted: JobFilter) -> JobCount:
    """See JobStore.count."""
    walk = plan_walk(wanted)
    if walk is None:
        return JobCount(0, is_capped=False)
    if not walk.conditions:
        # Only index entries are read. One more than the limit shows whether these are all.
        count = await count_stretch(jobs, walk, limit=EXAMINED + 1)
        return JobCount(min(count, EXAMINED), is_capped=count > EXAMINED)
    count = 0

    async def examine(stretch: Walk) -> bool:
        nonlocal count
        count += await count_stretch(jobs, stretch)
        return True

    reached = await examine_in_stretches(jobs, walk, examine)
    return JobCount(count, is_capped=reached is not None)


async def read_by_ids(
    jobs: Collection, job_ids: Group[UUID], view: View, max_bytes: int
) -> list[RawBSONDocument]:
    """The jobs that exist, in any order. Raises AnswerTooLarge above `max_bytes`, as they are read."""
    ids = list(job_ids)
    together = len(ids) if view is View.FULL else TOGETHER
    undecoded = jobs.with_options(codec_options=RAW_CODEC)
    found: list[RawBSONDocument] = []
    bytes_left = max_bytes
    for start in range(0, len(ids), max(together, 1)):
        where = {"_id": {"$in": ids[start : start + together]}}
        documents, complete = await read_up_to(undecoded.find(where, WITHOUT[view]), bytes_left)
        bytes_left -= sum(len(document.raw) for document in documents)
        if not complete or (found and bytes_left < 0):
            raise AnswerTooLarge(max_bytes)
        found += documents
    return found


async def read_stretch(
    jobs: Collection, stretch: Walk, limit: int, max_bytes: int, view: View = View.FULL
) -> tuple[list[RawBSONDocument], bool]:
    """See read_up_to. Raises ExecutionTimeout or NetworkTimeout when it takes too long."""
    with pymongo.timeout(STRETCH_SECONDS):
        return await read_up_to(find_jobs(jobs, stretch, limit, view), max_bytes)


async def count_stretch(jobs: Collection, stretch: Walk, limit: int = EXAMINED) -> int:
    """How many jobs match, at most `limit`. Raises ExecutionTimeout or NetworkTimeout when it takes too
    long.
    """
    with pymongo.timeout(STRETCH_SECONDS):
        count = await jobs.count_documents(_where(stretch), limit=limit, hint=list(stretch.index.items()))
    return int(count)


def find_jobs(jobs: Collection, walk: Walk, limit: int, view: View = View.FULL) -> Any:
    """A cursor over undecoded documents, in the walk's order."""
    undecoded = jobs.with_options(codec_options=RAW_CODEC)
    cursor = undecoded.find(_where(walk), WITHOUT[view]).sort("_id", walk.direction)
    return cursor.hint(list(walk.index.items())).limit(limit)


def _where(walk: Walk) -> Document:
    return {**walk.within, **walk.conditions}
