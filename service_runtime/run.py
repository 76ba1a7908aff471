"""Runs a service until it is asked to stop."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

T = TypeVar("T")
GARBAGE_THRESHOLDS = 10_000, 10, 10
"""Busy services make objects by the thousand that are gone by themselves. With Python's 700, 10, 10 a tenth of their time goes
into looking for those that are not; with far more than this they are looked for so seldom that memory grows.
"""
SWITCH_SECONDS = 0.0005
"""How long the event loop waits at most for a thread that has the interpreter. Python's 5 ms come at nearly every turn of the
loop while a thread packs a batch, and a call takes several turns.
"""


def run_service(main: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run `main`, setting its event at SIGTERM or SIGINT; it returns when it has shut down in order."""

    async def run() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        return await main(stop)

    sys.setswitchinterval(SWITCH_SECONDS)
    # What has been imported by now stays for ever.
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    return uvloop.run(run())
