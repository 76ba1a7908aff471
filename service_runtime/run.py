"""Runs a service until it gets a signal to stop."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

T = TypeVar("T")
GARBAGE_THRESHOLDS = 10_000, 10, 10
"""For gc.set_threshold. A busy service creates thousands of short-lived objects. With Python's default (700,
10, 10) the garbage collector takes a tenth of its time; with much larger numbers it runs so rarely that
memory grows.
"""
SWITCH_SECONDS = 0.0005
"""How long the event loop waits for a thread that holds the GIL. With Python's default of 5 ms nearly every
turn of the loop waits that long while a thread encodes a batch, and a call needs several turns.
"""


def run_service(main: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run `main` and return its result. SIGTERM and SIGINT set its event; then it should shut down."""

    async def run() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        return await main(stop)

    sys.setswitchinterval(SWITCH_SECONDS)
    # Imported modules are never freed: the garbage collector need not check them.
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    return uvloop.run(run())
