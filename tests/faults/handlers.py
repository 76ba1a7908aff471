"""Handlers that write to the ledger. WORKER_HANDLERS in tests/faults/cluster.py names this module.

The payload has `ledger`, a file; `seconds` of work; `failures`, the number of attempts that fail; `refuse`,
whether the input is refused.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests.faults.ledger import note
from worker_service import InputError, Job, RetryAfter, handler, progress

STEPS = 5
RETRY_AFTER = 0.2
"""Seconds. The same as the backoff of the load's jobs."""


class RequestedFailure(Exception):
    """A failure that the payload requests."""


@contextmanager
def recorded(job: Job) -> Iterator[dict[str, Any]]:
    """Record the start and the end. Yields the result, which has the id of this run."""
    ledger, run_id = job.payload["ledger"], uuid4().hex
    note(ledger, job=job.id, attempt=job.attempt, worker=os.environ["WORKER_NAME"], run_id=run_id)
    ending = "stopped"
    try:
        yield {"run": run_id}
        ending = "returned"
    except Exception:
        ending = "raised"
        raise
    finally:
        note(ledger, run_id=run_id, ending=ending)


def fail_if_requested(job: Job) -> None:
    if job.payload.get("refuse"):
        raise InputError("refuse", "is set")
    if job.attempt <= job.payload.get("failures", 0):
        raise RequestedFailure(f"attempt {job.attempt}") if job.attempt % 2 else RetryAfter(RETRY_AFTER)


@handler("steady")
async def in_the_loop(job: Job) -> dict[str, Any]:
    with recorded(job) as result:
        for step in range(STEPS):
            await asyncio.sleep(job.payload["seconds"] / STEPS)
            progress(100 * (step + 1) / STEPS)
        fail_if_requested(job)
        return result


def blocking(job: Job) -> dict[str, Any]:
    with recorded(job) as result:
        time.sleep(job.payload["seconds"])
        fail_if_requested(job)
        return result


@handler("steady-thread")
def in_a_thread(job: Job) -> dict[str, Any]:
    return blocking(job)


@handler("steady-process", run_in="process")
def in_a_process(job: Job) -> dict[str, Any]:
    return blocking(job)


@handler("poison")
async def kill_the_worker(job: Job) -> dict[str, Any]:
    with recorded(job) as result:
        await asyncio.sleep(job.payload["seconds"])
        os.kill(os.getpid(), signal.SIGKILL)
        return result
