"""The end of the process when handlers do not want to end."""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn

import structlog

from service_runtime.logging import flush_logs
from worker_service.execution.threads import any_thread_left

log = structlog.get_logger()

LEFTOVER_SECONDS = 1.0
FLUSH_SECONDS = 1.0


async def run_and_exit(work: Coroutine[Any, Any, int]) -> int:
    """The exit status that `work` returns.

    If tasks are left that swallow their cancellation, the process ends here: asyncio would wait for them for ever. So it
    does if threads are left: their jobs have been handed back, and may start elsewhere before Python has tidied up.
    """
    status = await work
    if any_thread_left():
        _end_here(status)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=LEFTOVER_SECONDS)
    if left:
        log.warning("ended_with_tasks_left", tasks=len(left))
        _end_here(status)
    return status


def _end_here(status: int) -> NoReturn:
    """What handlers printed is written if that can be done soon: its reader may have gone, or stand still."""
    try:
        flush_logs()
        flushing = threading.Thread(target=_flush_prints, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
    finally:
        os._exit(status)


def _flush_prints() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
