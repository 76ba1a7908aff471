"""Publishes jobs right after they were stored, outside the request that stored them.

    offer ──► DispatchQueue ──► publish ──► published ── nobody claimed it, and it is soon due ──► mark_published

Under load a publish waits for more to come. Each has its price, in Kafka and all the way through a worker, so that at a
thousand jobs a second a tenth of all CPU time goes into publishing in smaller steps.

Nothing here is needed for a job to be run: what is dropped, fails or is lost with the process stays due in the store,
and the due loop publishes it. A mark keeps it from doing so in vain, and is a write. So the more jobs wait to be claimed,
the later is a new one due: behind a backlog it is not claimed sooner anyway.
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
from api_server.ports import Clock, DueStore, Published, Publisher
from service_runtime.recent_count import RecentCount

log = structlog.get_logger()

MAX_QUEUED_JOBS = 50_000
MAX_QUEUED_BYTES = 64 * 1024 * 1024
MAX_BATCH_JOBS = 2000
MAX_BATCH_BYTES = 4 * 1024 * 1024
RECENT_SECONDS = 1.0
WAIT_A_JOB, LONGEST_WAIT = 0.0001, 0.1
"""Seconds from one publish to the next, for each job published in the last RECENT_SECONDS, and in all: 50 jobs a second go
at once, 300 a second nine at a time, from 1,000 on there are ten publishes a second.
"""
GRACE_A_JOB, LONGEST_GRACE = timedelta(milliseconds=1), timedelta(seconds=30)
"""How much later than DISPATCH_GRACE a job is due for each that is not known to be claimed, and the longest in all."""
MARK_BEFORE = timedelta(seconds=2)
"""So long before a published job is due it costs a write of its own, if nobody has claimed it."""
MARK_INTERVAL = 0.5
MAX_UNMARKED = 20_000
"""Published jobs that may wait to be claimed or marked; beyond it the oldest are marked at once, to bound memory."""
MAX_MARKED_AT_ONCE = 500
"""Of mongod's time a mark costs 26 µs, and each job in the same statement adds 0.03 µs to find its own place by: 44 µs at
500, 150 at 5,000.
"""


class QueuedDispatcher:
    """A ports.Dispatcher with one task that publishes and one that marks, between `start` and `stop`."""

    def __init__(
        self,
        publisher: Publisher,
        store: DueStore,
        clock: Clock,
        *,
        max_jobs: int = MAX_QUEUED_JOBS,
        max_bytes: int = MAX_QUEUED_BYTES,
        max_unmarked: int = MAX_UNMARKED,
    ) -> None:
        self._publisher = publisher
        self._store = store
        self._clock = clock
        self._max_unmarked = max_unmarked
        self._queue = DispatchQueue(max_jobs, max_bytes)
        self._recent = RecentCount(RECENT_SECONDS, time.monotonic)
        self._in_flight: dict[UUID, int] = {}
        """Attempts of jobs that are being published and are not known to be claimed."""
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
        return min(DISPATCH_GRACE + published * GRACE_A_JOB, LONGEST_GRACE)

    def offer(self, dispatch: Dispatch, due_time: datetime) -> None:
        """Queue a dispatch; never blocks. See ports.Dispatcher."""
        if self._queue.put(dispatch, due_time):
            self._wake.set()
            return
        self.dropped += 1
        if not self._full:
            self._full = True
            log.warning("dispatch_queue_full", jobs=len(self._queue), dropped_total=self.dropped)

    def claimed(self, job_ids: Sequence[UUID]) -> None:
        """See ports.Dispatcher. These need neither be published nor marked any more, nor those before them."""
        for job_id in job_ids:
            self._keep_back(job_id)
            self._published.claimed(job_id)

    def withdrawn(self, job_ids: Sequence[UUID]) -> None:
        """See ports.Dispatcher. These need neither be published nor marked any more."""
        for job_id in job_ids:
            self._keep_back(job_id)
            self._published.discard(job_id)

    async def start(self) -> None:
        """Begin to publish."""
        self._tasks = [
            asyncio.create_task(self._publish_until_stopped(), name="dispatcher-publish"),
            asyncio.create_task(self._mark_for_ever(), name="dispatcher-mark"),
        ]

    async def stop(self, grace: float = 5.0) -> None:
        """Publish what is queued and mark what was published, in `grace` seconds at most."""
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

    def _keep_back(self, job_id: UUID) -> None:
        """Not to be published, or published for nothing."""
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
                    # The batch stays due in the store; what comes after it must still go out.
                    log.exception("dispatch_failed", jobs=len(batch))
                self._recent.note(len(batch))
                await self._gather(until=begin + min(self._recent.count() * WAIT_A_JOB, LONGEST_WAIT))
            self._full = False
            if self._stopping.is_set():
                return

    async def _gather(self, until: float) -> None:
        """Let jobs come, unless there is a whole batch of them already."""
        seconds = until - time.monotonic()
        if seconds <= 0 or self._queue.fills(MAX_BATCH_JOBS, MAX_BATCH_BYTES):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _publish(self, batch: Sequence[Queued]) -> None:
        dispatches = [queued.dispatch for queued in batch]
        # A worker may claim a job before the broker's answer has come back, so it is watched for from here on.
        self._in_flight = {dispatch.job_id: dispatch.attempt for dispatch in dispatches}
        places = await self._publisher.publish(dispatches)
        for queued, dispatch, position in zip(batch, dispatches, places, strict=True):
            if position is not None and dispatch.job_id in self._in_flight:
                published = Published(dispatch.job_id, dispatch.attempt, position)
                self._published.add(dispatch.type, published, queued.due_time)
        self._in_flight = {}

    async def _mark_for_ever(self) -> None:
        while True:
            await asyncio.sleep(MARK_INTERVAL)
            try:
                await self._mark(self._published.take(self._clock.now() + MARK_BEFORE, self._max_unmarked))
            except Exception:
                # As with a store out of reach: they stay due.
                log.exception("marking_failed")

    async def _mark(self, published: Sequence[Published]) -> None:
        for start in range(0, len(published), MAX_MARKED_AT_ONCE):
            marked = published[start : start + MAX_MARKED_AT_ONCE]
            try:
                await self._store.mark_published(marked, self._clock.now())
            except StoreUnavailable:
                # They stay due: published once more at worst.
                log.warning("published_jobs_not_marked", count=len(marked))
