"""A handler that takes time, for deploy/compose_checks.py: so that jobs run while containers end."""

import asyncio
from dataclasses import dataclass

from job_client.worker import handler


@dataclass
class Nap:
    seconds: float


@handler("nap")
async def nap(payload: Nap) -> dict[str, float]:
    await asyncio.sleep(payload.seconds)
    return {"seconds": payload.seconds}
