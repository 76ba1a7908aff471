"""Runs a service until it is asked to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

T = TypeVar("T")


def run_service(main: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run `main`, setting its event at SIGTERM or SIGINT; it returns when it has shut down in order."""

    async def run() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        return await main(stop)

    return uvloop.run(run())
