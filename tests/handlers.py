"""Handlers that let a test decide when a job ends and see which process ran it.

tests/conftest.py names this module in WORKER_HANDLERS.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from worker_service import Job, PermanentError, RetryAfter, handler, progress

POLL = 0.02


def note_run(job: Job) -> None:
    """Append one line for this run to the file that the payload names."""
    line = f"{job.id} {job.attempt} {os.getpid()}\n"
    with Path(job.payload["ledger"]).open("a") as ledger:
        ledger.write(line)


def begin(job: Job) -> None:
    """Note this run, report the progress that the payload gives, and log and print what it says."""
    note_run(job)
    if "progress" in job.payload:
        progress(*job.payload["progress"])
    if "say" in job.payload:
        logging.getLogger("tests").info("logged %s", job.payload["say"])
        print("printed", job.payload["say"])  # noqa: T201 - it becomes a line of the log


def is_open(job: Job) -> bool:
    return Path(job.payload["gate"]).exists()


@handler("gated")
async def gated(job: Job) -> dict[str, Any]:
    """Ends when the file `gate` exists."""
    begin(job)
    try:
        while not is_open(job):
            await asyncio.sleep(POLL)  # the test is another process and cannot set an event
    except asyncio.CancelledError:
        Path(job.payload["ledger"]).with_name(f"stopped-{job.id}").touch()
        raise
    return {"attempt": job.attempt}


@handler("gated-thread")
def gated_thread(job: Job) -> dict[str, Any]:
    """The same in a thread."""
    begin(job)
    while not is_open(job):
        time.sleep(POLL)
    Path(job.payload["ledger"]).with_name(f"returned-{job.id}").touch()
    return {"attempt": job.attempt}


@handler("gated-process", run_in="process")
def gated_process(job: Job) -> dict[str, Any]:
    """The same in a process."""
    return gated_thread(job)


@handler("blocking")
async def blocking(job: Job) -> dict[str, Any]:
    """The same on the event loop: it blocks all other handlers of the loop and keeps a CPU busy."""
    note_run(job)
    while not is_open(job):
        for _ in range(100_000):
            pass
    return {"attempt": job.attempt}


@handler("stubborn")
async def stubborn(job: Job) -> dict[str, Any]:
    """The same on the event loop, ignoring every cancellation."""
    note_run(job)
    while not is_open(job):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(POLL)
    return {"attempt": job.attempt}


@handler("reader")
def reader(job: Job) -> dict[str, Any]:
    """Prints each line that is written to a file, the `gate`, until the line `end`."""
    printed = 0
    while True:
        lines = Path(job.payload["gate"]).read_text().splitlines()
        for line in lines[printed:]:
            if line == "end":
                return {"attempt": job.attempt}
            print(line)  # noqa: T201 - it becomes a line of the log
        printed = len(lines)
        time.sleep(POLL)


@handler("broken")
async def broken(job: Job) -> dict[str, Any]:
    """Raises the error that the payload names; only in the first attempt if the payload has `mends`."""
    text = job.payload.get("text", "broken")
    if job.attempt > 1 and job.payload.get("mends"):
        return {"attempt": job.attempt}
    match job.payload:
        case {"raise": "permanent"}:
            raise PermanentError(text)
        case {"raise": "later", "delay": delay}:
            raise RetryAfter(delay, text)
    raise RuntimeError(text)


@handler("flaky")
async def flaky(job: Job) -> dict[str, Any]:
    """Fails in the first attempts. The payload gives their number."""
    if job.attempt <= job.payload["failures"]:
        raise RuntimeError(f"attempt {job.attempt} fails")
    return {"attempt": job.attempt}


@handler("suicidal", run_in="process")
def suicidal(_job: Job) -> dict[str, Any]:
    """Kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@handler("slow")
async def slow(job: Job) -> dict[str, Any]:
    """Takes the time that the payload gives."""
    note_run(job)
    await asyncio.sleep(job.payload["seconds"])
    return {"attempt": job.attempt}


@handler("deadly")
async def deadly(job: Job) -> dict[str, Any]:
    """Kills the whole worker after the time that the payload gives."""
    note_run(job)
    await asyncio.sleep(job.payload["seconds"])
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@dataclass
class Options:
    rounds: int = 1
    salt: bool = False
    more: list[int] = field(default_factory=list)


@dataclass
class Text:
    input: str
    algorithm: Literal["md5", "sha256"] = "sha256"
    options: Options = field(default_factory=Options)


@handler("typed")
async def typed(payload: Text) -> dict[str, Any]:
    """Its payload has a schema."""
    return {"algorithm": payload.algorithm, "rounds": payload.options.rounds}
