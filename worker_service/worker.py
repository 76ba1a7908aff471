"""A worker's life: everything runs side by side until the worker is asked to stop, then it ends in order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from worker_service.claims import Claimer
from worker_service.committer import Committer
from worker_service.consumer import JobConsumer
from worker_service.hand import Hand
from worker_service.heartbeat import Heartbeat
from worker_service.reporter import Reporter
from worker_service.running import Runner
from worker_service.totals import Totals
from worker_service.watchdog import watch

log = structlog.get_logger()

CLAIM_SECONDS = 3.0
REPORT_SECONDS = 5.0
COMMIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts, wired by bootstrap. `drain_timeout`: seconds that jobs in hand get at shutdown."""

    heartbeat: Heartbeat
    consumer: JobConsumer
    committer: Committer
    claimer: Claimer
    runner: Runner
    reporter: Reporter
    hand: Hand
    totals: Totals
    set_serving: Callable[[bool], Awaitable[None]]
    drain_timeout: float

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then shut down. A part that fails ends all others, without a drain."""
        async with asyncio.TaskGroup() as group:
            consuming = group.create_task(self._consume())
            claiming = group.create_task(self.claimer.run())
            committing = group.create_task(self.committer.run(self.consumer))
            others = [
                group.create_task(part)
                for part in (self.heartbeat.run(), self.runner.run(), self.reporter.run())
            ]
            await stop.wait()
            log.info("draining", in_hand=len(self.hand.held), drain_timeout=self.drain_timeout)
            self.heartbeat.draining = True
            await self.set_serving(False)
            await _end(consuming)
            self.claimer.close()
            await self.claimer.quiet(CLAIM_SECONDS)
            await _end(claiming)
            await self._empty_hand()
            await self.committer.flush(self.consumer, COMMIT_SECONDS)
            await _end(committing)
            await self.consumer.close()
            # A thread cannot be stopped. Its job is handed back last, just before the process ends.
            await self.runner.interrupt({"thread"})
            await self._flush_reports()
            for task in others:
                await _end(task)
        log.info("drained", completed=self.totals.completed, failed=self.totals.failed)

    async def _consume(self) -> None:
        await self.heartbeat.registered.wait()
        await self.consumer.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.consumer.poll())
            group.create_task(self.consumer.keep_pauses())
            group.create_task(watch(lambda: self.consumer.contacts, self.set_serving))

    async def _empty_hand(self) -> None:
        if not await self.runner.idle(self.drain_timeout):
            log.warning("drain_timed_out", in_hand=len(self.hand.held))
            await self.runner.interrupt({"loop", "process"})
        await self._flush_reports()

    async def _flush_reports(self) -> None:
        if not await self.reporter.flush(REPORT_SECONDS):
            log.error("reports_not_sent", job_ids=list(self.hand.held))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
