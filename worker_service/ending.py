"""The end of the process when handlers do not want to end."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import structlog

from worker_service.threads import any_thread_left

log = structlog.get_logger()

LEFTOVER_SECONDS = 1.0


async def run_to_the_end(work: Coroutine[Any, Any, int]) -> int:
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
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
