"""The loop that recovers: what was not published, or was taken by a worker that died, is found by its `due_time`.

One server at a time runs it. Keeping the lease, ending leases and publishing are three tasks, so that a broker that
does not answer holds up nothing but the publishing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.ports import DatabaseClock, DueStore, LeaderLease, Publisher
from api_server.recovery.due_scans import DueScan, LeaseExpiryScan
from api_server.recovery.leadership import Leadership
from service_runtime.outage import Outage

log = structlog.get_logger()

TICK = 0.5
FOLLOWER_TICK = 1.0
LAST_PROLONGATIONS = 1.0
"""Seconds for which `stop` waits for answers."""


class DueLoop:
    """Runs between `start` and `stop`, whenever this server holds the lease."""

    def __init__(
        self,
        store: DueStore,
        lease: LeaderLease,
        publisher: Publisher,
        clock: DatabaseClock,
        types: tuple[str, ...],
        job_lease: float,
        heartbeat_interval: float = 0.0,
    ) -> None:
        """`job_lease`: seconds that a worker keeps a job without a heartbeat."""
        self._clock = clock
        # A lease is moved when under half is left, so a longer silence of ours may have cost a live worker its lease.
        margin = job_lease / 2 - heartbeat_interval
        self._leadership = Leadership(lease, str(uuid4()), max_silence=margin)
        self._lapses = LeaseExpiryScan(
            store, self._leadership.unbroken_seconds, clock.steady_seconds, job_lease
        )
        self._due = DueScan(store, publisher, types)
        self._outage = Outage("due_lease")
        self._tasks: list[asyncio.Task[None]] = []
        self._prolonging: set[asyncio.Task[bool]] = set()
        """Questions for the lease that are not answered yet. The store bounds how long each takes."""

    @property
    def is_leader(self) -> bool:
        """Whether this server holds the lease."""
        return self._leadership.unbroken_seconds() is not None

    async def start(self) -> None:
        """Begin. Heartbeats should be served from now on, for leases are ended one lease later."""
        self._tasks = [
            asyncio.create_task(self._repeat(step), name=f"due-loop-{step.__name__.strip('_')}")
            for step in (self._lead, self._expire_leases, self._publish)
        ]

    async def stop(self) -> None:
        """End, and give up the lease. A pass that is cut short is made good by the next leader."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        if self._prolonging:
            # One that comes after the release would keep the lease from others.
            await asyncio.wait(self._prolonging, timeout=LAST_PROLONGATIONS)
        await self._leadership.release()

    async def _repeat(self, step: Callable[[], Awaitable[float]]) -> None:
        """Run `step` for ever; it returns the seconds until its next run."""
        while True:
            pause = TICK
            try:
                pause = await step()
            except StoreUnavailable as error:
                log.debug("due_loop_step_without_store", step=step.__name__, reason=error.message)
            except Exception:
                # Recovery must go on whatever one pass runs into.
                log.exception("due_loop_step_failed", step=step.__name__)
            await asyncio.sleep(pause)

    async def _lead(self) -> float:
        """Ask for the lease; after TICK again, though a majority that lags has not answered."""
        question = asyncio.create_task(self._prolong())
        self._prolonging.add(question)
        question.add_done_callback(self._prolonging.discard)
        await asyncio.wait([question], timeout=TICK)
        if not question.done():
            return 0.0
        return TICK if question.result() else FOLLOWER_TICK

    async def _prolong(self) -> bool:
        """Whether this server has the lease, as far as is known."""
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
            count = await self._lapses.run_once(self._clock.now())
            if count:
                log.info("leases_ended", count=count)
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
