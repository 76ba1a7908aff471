"""A change stream and a store of jobs in memory, for tests of the feed and of watches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api_server.domain.changes import JobChange, summary
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobFilter, JobPage, PageRequest
from api_server.feed.ports import Changes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN_BY_A_PAGE = 1000


def job(number: int, **fields: Any) -> Job:
    """A job. Its id is its number."""
    values: dict[str, Any] = {"type": "compute", "status": Status.QUEUED, "payload": {}, **fields}
    return Job(id=UUID(int=number), create_time=NOW, update_time=NOW, **values)


def position(number: int) -> str:
    """Positions are ordered as their numbers."""
    return f"82{number:08X}00000001"


class Database:
    """Jobs, and the log of their changes, which streams read."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, Job] = {}
        self.log: list[JobChange] = []
        self.reads: list[list[UUID]] = []
        self.opened: list[tuple[str | None, bool]] = []
        self.open_streams = 0
        self.refuses: Exception | None = None
        """What opening and reading a stream raise."""
        self.news = asyncio.Event()

    def create(self, new: Job) -> Job:
        self.jobs[new.id] = new
        values = {
            "id": new.id,
            "type": new.type,
            "status": new.status,
            "create_time": NOW,
            "update_time": NOW,
            "labels": new.labels,
            "revision": 1,
        }
        self._append(JobChange(new.id, 1, position(len(self.log) + 1), values, is_new=True))
        return new

    def change(self, job_id: UUID, **values: Any) -> Job:
        before = self.jobs[job_id]
        values["revision"] = before.revision + 1
        self.jobs[job_id] = replace(before, **values)
        self._append(JobChange(job_id, values["revision"], position(len(self.log) + 1), values))
        return self.jobs[job_id]

    def fail(self, error: Exception | None) -> None:
        """Streams raise this from now on; None: they work again."""
        self.refuses = error
        self.news.set()

    def _append(self, change: JobChange) -> None:
        self.log.append(change)
        self.news.set()

    # The ports.

    @asynccontextmanager
    async def open(self, after: str | None = None, *, only_ends: bool = False) -> AsyncIterator["Stream"]:
        self.opened.append((after, only_ends))
        if self.refuses is not None:
            raise self.refuses
        self.open_streams += 1
        try:
            yield Stream(self, position(len(self.log)) if after is None else after, only_ends=only_ends)
        finally:
            self.open_streams -= 1

    async def summaries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Job]:
        self.reads.append(list(job_ids))
        return {each: summary(self.jobs[each]) for each in job_ids if each in self.jobs}

    async def page(self, wanted: JobFilter, page: PageRequest) -> JobPage:
        found = [
            each
            for each in self.jobs.values()
            if each.status in (wanted.statuses or Status) and each.type in (wanted.types or {each.type})
        ]
        return JobPage(found[: page.size], found[page.size].id if len(found) > page.size else None)


class Stream:
    """Reads the log from a position on."""

    def __init__(self, database: Database, at: str, *, only_ends: bool) -> None:
        self._database = database
        self._only_ends = only_ends
        self.position = at

    async def next(self, about: Callable[[UUID], bool] | None = None) -> Changes:
        found = self._found()
        if not found:
            self._database.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self._database.news.wait()
            found = self._found()
        if self._database.refuses is not None:
            raise self._database.refuses
        if found:
            self.position = found[-1].position
        needed = [each for each in found if about is None or about(each.job_id)]
        ended = [each.job_id for each in needed if each.has_ended]
        return Changes(ended, () if self._only_ends else needed)

    def _found(self) -> list[JobChange]:
        return [each for each in self._database.log if each.position > self.position]
