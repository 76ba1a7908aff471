"""The loop that finds forgotten jobs by their `due_time`: not published, or claimed by a worker that died.

One server at a time runs it. Keeping the lease, ending workers' leases and publishing are three tasks, so
that a broker that does not answer delays only the publishing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from uuid import uuid4

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.ports import Publisher
from api_server.recovery.due_scans import DueScan, LeaseExpiryScan
from api_server.recovery.leadership import Leadership
from api_server.recovery.ports import DatabaseClock, DueStore, LeaderLease, TopicReader
from service_runtime.outage import Outage

log = structlog.get_logger()

TICK = 0.5
FOLLOWER_TICK = 1.0
LAST_ANSWERS_SECONDS = 1.0
"""How long `stop` waits for prolongations that have not been answered."""


class DueLoop:
    """Runs between `start` and `stop`, while this server holds the lease."""

    def __init__(
        self,
        store: DueStore,
        lease: LeaderLease,
        publisher: Publisher,
        topics: TopicReader,
        clock: DatabaseClock,
        types: Collection[str],
        times: HeartbeatTimes,
    ) -> None:
        self._clock = clock
        # Heartbeats move a lease when less than half of it is left. So a longer silence of this server may
        # have cost a live worker its lease.
        max_silence = (times.lease / 2 - times.heartbeat_interval).total_seconds()
        self._leadership = Leadership(lease, str(uuid4()), max_silence=max_silence)
        self._lease_expiry = LeaseExpiryScan(store, self._leadership, clock, times.lease)
        self._due = DueScan(store, publisher, topics, types)
        self._outage = Outage("due_lease")
        self._tasks: list[asyncio.Task[None]] = []
        self._prolonging: set[asyncio.Task[bool]] = set()
        """Prolongations that have not been answered. The store bounds how long each one takes."""

    @property
    def is_leader(self) -> bool:
        """Whether this server holds the lease."""
        return self._leadership.unbroken_seconds() is not None

    async def start(self) -> None:
        """Begin. Serve heartbeats from now on, because workers' leases are ended one lease later."""
        self._tasks = [
            asyncio.create_task(self._repeat(step), name=f"due-loop-{step.__name__.strip('_')}")
            for step in (self._lead, self._expire_leases, self._publish)
        ]

    async def stop(self) -> None:
        """End, and give up the lease. The next leader repeats a pass that was interrupted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        if self._prolonging:
            # A prolongation that arrives after the release would keep the lease from other servers.
            await asyncio.wait(self._prolonging, timeout=LAST_ANSWERS_SECONDS)
        await self._leadership.release()

    async def _repeat(self, step: Callable[[], Awaitable[float]]) -> None:
        """Run `step` until cancelled. It returns the seconds until its next run."""
        while True:
            pause = TICK
            try:
                pause = await step()
            except StoreUnavailable as error:
                log.debug("due_loop_step_without_store", step=step.__name__, reason=error.message)
            except Exception:
                # One failed pass must not end the recovery.
                log.exception("due_loop_step_failed", step=step.__name__)
            await asyncio.sleep(pause)

    async def _lead(self) -> float:
        """Ask for the lease. Asks again after TICK, even if a majority that lags has not answered yet."""
        question = asyncio.create_task(self._prolong())
        self._prolonging.add(question)
        question.add_done_callback(self._prolonging.discard)
        await asyncio.wait([question], timeout=TICK)
        if not question.done():
            return 0.0
        return TICK if question.result() else FOLLOWER_TICK

    async def _prolong(self) -> bool:
        """Whether this server has the lease. After an error True, so that it asks again soon."""
        try:
            leads = await self._leadership.prolong()
        except StoreUnavailable as error:
            self._outage.failed(error.message)
            return True
        except Exception:
            log.exception("due_lease_not_prolonged")
            return True
        self._outage.succeeded()
        return leads

    async def _expire_leases(self) -> float:
        if self.is_leader:
            count = await self._lease_expiry.run_once(self._clock.now())
            if count:
                log.info("leases_expired", count=count)
        return TICK

    async def _publish(self) -> float:
        if not self.is_leader:
            return TICK
        report = await self._due.run_once(self._clock.now())
        if report.published or report.still_waiting:
            log.info("due_jobs_published", count=report.published, still_waiting=report.still_waiting)
        if report.expired:
            log.info("jobs_expired", count=report.expired)
        return 0 if report.more else TICK
