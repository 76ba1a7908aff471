"""Publishes jobs right after they were stored, outside the request that stored them.

    offer ──► DispatchQueue ──► Publisher ──► PublishedJobs ── not claimed, and soon due ──► mark_published

Under load a publish waits for more jobs. Each publish costs time in Kafka and in every step of a worker: at a
thousand jobs a second, publishing in smaller steps takes a tenth of all CPU time.

A job runs without all this too. A job that is dropped, fails to be published or is lost with the process
stays due in the store, and the due loop publishes it. A mark keeps the due loop from publishing a job that
was published already. Each mark is a write, so a new job is due later when more published jobs wait: behind a
backlog it is not claimed sooner anyway.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from api_server.dispatch.published_jobs import PublishedJobs
from api_server.dispatch.queue import DispatchQueue, Queued
from api_server.domain.creation import DISPATCH_GRACE
from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Dispatch
from api_server.ports import Clock, Published, PublishedMarks, Publisher
from service_runtime.recent_count import RecentCount

log = structlog.get_logger()

MAX_QUEUED_JOBS = 50_000
MAX_QUEUED_BYTES = 64 * 1024 * 1024
MAX_BATCH_JOBS = 2000
MAX_BATCH_BYTES = 4 * 1024 * 1024
RECENT_SECONDS = 1.0
WAIT_PER_JOB, MAX_WAIT = 0.0001, 0.1
"""Seconds between two publishes: for each job published in the last RECENT_SECONDS, and at most.

At 50 jobs a second each job goes at once, at 300 nine go together, from 1,000 on 10 publishes a second.
"""
GRACE_PER_JOB, MAX_GRACE = timedelta(milliseconds=1), timedelta(seconds=30)
"""Added to DISPATCH_GRACE for each job that is not known to be claimed; and the longest grace."""
MARK_BEFORE = timedelta(seconds=2)
"""A published job that nobody has claimed is marked this long before it is due."""
MARK_INTERVAL = 0.5
MAX_UNMARKED = 20_000
"""Published jobs that may wait. Above this number the oldest are marked at once, to bound memory."""
MAX_MARKED_AT_ONCE = 500
"""A mark costs 26 µs of mongod's time, and 0.03 µs for each job in the same statement, which is searched for
each mark: 44 µs at 500 jobs, 150 µs at 5,000.
"""


class QueuedDispatcher:
    """A ports.Dispatcher with one task that publishes and one that marks, between `start` and `stop`."""

    def __init__(
        self,
        publisher: Publisher,
        marks: PublishedMarks,
        clock: Clock,
        *,
        max_jobs: int = MAX_QUEUED_JOBS,
        max_bytes: int = MAX_QUEUED_BYTES,
        max_unmarked: int = MAX_UNMARKED,
    ) -> None:
        self._publisher = publisher
        self._marks = marks
        self._clock = clock
        self._max_unmarked = max_unmarked
        self._queue = DispatchQueue(max_jobs, max_bytes)
        self._recent = RecentCount(RECENT_SECONDS, time.monotonic)
        self._in_flight: dict[UUID, int] = {}
        """The attempts of jobs that are being published and are not known to be claimed."""
        self._published = PublishedJobs()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._full = False
        self._tasks: list[asyncio.Task[None]] = []
        self.dropped = 0
        """Jobs that were left to the due loop because the queue was full."""

    @property
    def grace(self) -> timedelta:
        """See ports.Dispatcher."""
        published = len(self._queue) + len(self._in_flight) + len(self._published)
        return min(DISPATCH_GRACE + published * GRACE_PER_JOB, MAX_GRACE)

    def offer(self, dispatch: Dispatch, due_time: datetime) -> None:
        """Queue a dispatch; never blocks. See ports.Dispatcher."""
        if self._queue.put(dispatch, due_time):
            self._wake.set()
            return
        self.dropped += 1
        if not self._full:
            self._full = True
            log.warning("dispatch_queue_full", jobs=len(self._queue), dropped_total=self.dropped)

    def jobs_claimed(self, job_ids: Sequence[UUID]) -> None:
        """See ports.Dispatcher. Neither these jobs nor those published before them need a mark."""
        for job_id in job_ids:
            self._withhold(job_id)
            self._published.remove_claimed(job_id)

    def jobs_withdrawn(self, job_ids: Sequence[UUID]) -> None:
        """See ports.Dispatcher. These jobs need no publish and no mark any more."""
        for job_id in job_ids:
            self._withhold(job_id)
            self._published.discard(job_id)

    async def start(self) -> None:
        """Begin to publish and to mark."""
        self._tasks = [
            asyncio.create_task(self._publish_until_stopped(), name="dispatcher-publish"),
            asyncio.create_task(self._mark_until_cancelled(), name="dispatcher-mark"),
        ]

    async def stop(self, grace: float = 5.0) -> None:
        """Publish the queued jobs and mark the published ones, within `grace` seconds."""
        self._stopping.set()
        self._wake.set()
        publishing, marking = self._tasks
        try:
            async with asyncio.timeout(grace):
                await publishing
                marking.cancel()
                await self._mark(self._published.take_all())
        except TimeoutError:
            log.warning("dispatcher_stopped_early", queued=len(self._queue), unmarked=len(self._published))
        finally:
            publishing.cancel()
            marking.cancel()
            await asyncio.wait(self._tasks)

    def _withhold(self, job_id: UUID) -> None:
        """Do not publish the job. If it is being published, it needs no mark."""
        self._queue.discard(job_id)
        self._in_flight.pop(job_id, None)

    async def _publish_until_stopped(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._queue.take(MAX_BATCH_JOBS, MAX_BATCH_BYTES, self._clock.now()):
                begin = time.monotonic()
                try:
                    await self._publish(batch)
                except Exception:
                    # This batch stays due in the store. The next ones must still be published.
                    log.exception("dispatch_failed", jobs=len(batch))
                self._recent.note(len(batch))
                await self._gather(until=begin + min(self._recent.count() * WAIT_PER_JOB, MAX_WAIT))
            self._full = False
            if self._stopping.is_set():
                return

    async def _gather(self, until: float) -> None:
        """Wait for more jobs, unless a whole batch of them is queued already."""
        seconds = until - time.monotonic()
        if seconds <= 0 or self._queue.fills(MAX_BATCH_JOBS, MAX_BATCH_BYTES):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _publish(self, batch: Sequence[Queued]) -> None:
        dispatches = [queued.dispatch for queued in batch]
        # A worker may claim a job before the broker's answer arrives, so claims count from here on.
        self._in_flight = {dispatch.job_id: dispatch.attempt for dispatch in dispatches}
        positions = await self._publisher.publish(dispatches)
        for queued, dispatch, position in zip(batch, dispatches, positions, strict=True):
            if position is not None and dispatch.job_id in self._in_flight:
                published = Published(dispatch.job_id, dispatch.attempt, position)
                self._published.add(dispatch.type, published, queued.due_time)
        self._in_flight = {}

    async def _mark_until_cancelled(self) -> None:
        while True:
            await asyncio.sleep(MARK_INTERVAL)
            try:
                await self._mark(self._published.take(self._clock.now() + MARK_BEFORE, self._max_unmarked))
            except Exception:
                # The jobs stay due, as when the store cannot be reached.
                log.exception("marking_failed")

    async def _mark(self, published: Sequence[Published]) -> None:
        for start in range(0, len(published), MAX_MARKED_AT_ONCE):
            marked = published[start : start + MAX_MARKED_AT_ONCE]
            try:
                await self._marks.mark_published(marked, self._clock.now())
            except StoreUnavailable:
                # The jobs stay due. At worst they are published once more.
                log.warning("published_jobs_not_marked", count=len(marked))
