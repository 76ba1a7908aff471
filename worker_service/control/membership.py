"""Keeps a worker in the consumer group.

While it is stopped by name it stays out, so others get its partitions.
"""

import asyncio

import structlog

from worker_service.claiming.worker_state import WorkerState
from worker_service.kafka.consumer import JobConsumer
from worker_service.kafka.idleness import warn_when_idle
from worker_service.kafka.ports import HealthStatus
from worker_service.kafka.watchdog import watch

log = structlog.get_logger()


class Membership:
    """A stop of the whole fleet, or of a type, moves no partitions: no other worker would use them."""

    def __init__(self, state: WorkerState, consumer: JobConsumer, health: HealthStatus) -> None:
        self._desired = state.desired
        self._wake = state.membership_wake
        self._consumer = consumer
        self._health = health

    async def run(self) -> None:
        """Until cancelled: join, poll and leave as the desired state says. Raises ConsumptionLost."""
        while True:
            if self._desired.stopped_by_name:
                log.info("standing_by")
                # A worker without partitions has nothing to consume, so it is healthy.
                await self._health.set_serving(True)
                await self._wait_for(stopped=False)
            await self._consumer.start()
            await self._consume_until_stopped()
            await self._consumer.leave()

    async def _consume_until_stopped(self) -> None:
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(self._consumer.poll()),
                group.create_task(self._consumer.keep_pauses()),
                group.create_task(watch(self._consumer, self._health)),
                group.create_task(warn_when_idle(self._consumer)),
            ]
            await self._wait_for(stopped=True)
            for part in parts:
                part.cancel()

    async def _wait_for(self, *, stopped: bool) -> None:
        while self._desired.stopped_by_name is not stopped:
            await self._wake.wait()
            self._wake.clear()
