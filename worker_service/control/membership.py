"""Keeps a worker in the consumer group, or out of it while it is stopped by name: others then have its partitions."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from worker_service.kafka.consumer import JobConsumer
from worker_service.kafka.idleness import warn_when_idle
from worker_service.kafka.watchdog import watch
from worker_service.state.desired_fleet import DesiredFleet

log = structlog.get_logger()


class Membership:
    """A stop of the fleet, or of a type, moves no partitions: there would be nobody to have them."""

    def __init__(
        self,
        consumer: JobConsumer,
        desired: DesiredFleet,
        set_serving: Callable[[bool], Awaitable[None]],
        *,
        wake: asyncio.Event,
    ) -> None:
        """`wake` is set when the wish has changed."""
        self._consumer = consumer
        self._desired = desired
        self._set_serving = set_serving
        self._wake = wake

    async def run(self) -> None:
        """Until cancelled: join, poll, leave, as the fleet's wish goes. Raises ConsumptionLost."""
        while True:
            if self._desired.stopped_by_name:
                log.info("standing_by")
                # Without partitions there is nothing that it could fail to consume.
                await self._set_serving(True)
                await self._wished(stopped=False)
            await self._consumer.start()
            await self._consume_until_stopped()
            await self._consumer.leave()

    async def _consume_until_stopped(self) -> None:
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(self._consumer.poll()),
                group.create_task(self._consumer.keep_pauses()),
                group.create_task(watch(lambda: self._consumer.contacts, self._set_serving)),
                group.create_task(warn_when_idle(self._consumer.assignment)),
            ]
            await self._wished(stopped=True)
            for part in parts:
                part.cancel()

    async def _wished(self, *, stopped: bool) -> None:
        while self._desired.stopped_by_name is not stopped:
            await self._wake.wait()
            self._wake.clear()
