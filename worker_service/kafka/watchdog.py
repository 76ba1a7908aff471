"""Reports healthy while this worker consumes, and ends a worker that has not consumed for too long."""

import asyncio
import time
from collections.abc import Callable

import structlog

from worker_service.kafka.ports import BrokerContacts, HealthStatus
from worker_service.state.silence import Silence

log = structlog.get_logger()

TICK_SECONDS = 0.25
HEALTHY_SECONDS = 10.0
HOPELESS_SECONDS = 30.0


class ConsumptionLost(Exception):
    """No poll has succeeded for HOPELESS_SECONDS. Only a new process helps."""


async def watch(
    consumer: BrokerContacts, health: HealthStatus, clock: Callable[[], float] = time.monotonic
) -> None:
    """Until cancelled: report healthy while the consumer has reached the broker in the last HEALTHY_SECONDS.

    Raises ConsumptionLost.
    """
    silence = Silence(consumer.contacts, clock())
    serving = False
    while silence.seconds < HOPELESS_SECONDS:
        await asyncio.sleep(TICK_SECONDS)
        silence.tick(consumer.contacts, clock())
        healthy = consumer.contacts > 0 and silence.seconds < HEALTHY_SECONDS
        if healthy != serving:
            serving = healthy
            await health.set_serving(serving)
            log.info("health_changed", serving=serving)
    raise ConsumptionLost(f"no successful poll for {HOPELESS_SECONDS:g} s")
