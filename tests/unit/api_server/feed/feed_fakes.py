"""A change stream and stores of jobs and logs in memory, for tests of the feed and of watches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api_server.domain.changes import JobChange, summary
from api_server.domain.job import Job, Status
from api_server.domain.job_log import AttemptLog, EntryKind, JobLog, LogEntry, LogPlace
from api_server.domain.listing import JobFilter, JobPage, PageRequest
from api_server.feed.ports import Changes, Subject, Topic

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


class HintSource:
    """A stream of hints."""

    def __init__(self) -> None:
        self.opened = 0
        self.open_streams = 0
        self.refuses: Exception | None = None
        """What opening and reading a stream raise."""
        self._changed: list[Subject] = []
        self._news = asyncio.Event()

    def changed(self, subject: Subject) -> None:
        self._changed.append(subject)
        self._news.set()

    def fail(self, error: Exception | None) -> None:
        """Streams raise this from now on; None: they work again."""
        self.refuses = error
        self._news.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["HintSource.Stream"]:
        self.opened += 1
        if self.refuses is not None:
            raise self.refuses
        self.open_streams += 1
        try:
            yield HintSource.Stream(self)
        finally:
            self.open_streams -= 1

    class Stream:
        """Reads from now on."""

        def __init__(self, source: "HintSource") -> None:
            self._source = source
            self._read = len(source._changed)

        async def next(self) -> Sequence[Subject]:
            source = self._source
            if len(source._changed) == self._read:
                source._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await source._news.wait()
            if source.refuses is not None:
                raise source.refuses
            begin, self._read = self._read, len(source._changed)
            return source._changed[begin:]


class Logs:
    """The logs of jobs. A change of a log is a hint of `hints`."""

    def __init__(self) -> None:
        self.hints = HintSource()
        self.reads = 0
        self._logs: dict[UUID, JobLog] = {}

    def append(self, job_id: UUID, *numbers: int, attempt: int = 1, is_hinted: bool = True) -> None:
        """Entries of an attempt, with these numbers in it. Their messages are their numbers."""
        entries = [
            LogEntry(number, NOW, EntryKind.LINE, attempt, "w", "info", "", str(number)) for number in numbers
        ]
        before = self._logs.get(job_id, JobLog())
        self._logs[job_id] = before.with_attempt(AttemptLog(job_id, attempt, entries))
        if is_hinted:
            self.hints.changed(Subject(Topic.JOB_LOG, job_id))

    async def entries_after(self, places: Sequence[LogPlace]) -> list[tuple[LogEntry, ...]]:
        self.reads += 1
        assert all(each.create_time == NOW for each in places)
        return [self._logs.get(each.job_id, JobLog()).after(each.number) for each in places]
