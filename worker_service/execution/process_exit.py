"""Ends the worker's process even if some handlers do not end."""

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
"""How long cancelled tasks may take to end."""
FLUSH_SECONDS = 1.0


async def run_and_exit(work: Coroutine[Any, Any, int]) -> int:
    """Return the exit status that `work` returns, or end the process at once if threads or tasks are left.

    Threads: their jobs have been released, and may start elsewhere before Python has cleaned up. Tasks
    that ignore their cancellation: asyncio would wait for them forever.
    """
    status = await work
    if any_thread_left():
        _exit_now(status)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=LEFTOVER_SECONDS)
    if left:
        log.warning("ended_with_tasks_left", tasks=len(left))
        _exit_now(status)
    return status


def _exit_now(status: int) -> NoReturn:
    """Write what handlers printed, for FLUSH_SECONDS at most: its reader may be gone or blocked."""
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
