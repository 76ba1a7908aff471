"""Handlers for the tests, in a module that other processes can import."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import structlog

from worker_service import InputError, Job, PermanentError, RetryAfter, handler, progress


class NotPicklable(Exception):
    """An error that cannot travel between processes."""

    def __init__(self, text: str, _more: object) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Careless(RetryAfter):
    """An error that does not let its class make it."""

    def __init__(self) -> None:
        pass


class NoText(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise KeyError("text")


ERRORS: dict[str, Callable[[], BaseException]] = {
    "input": lambda: InputError("size", "must be positive, is -1"),
    "value": lambda: ValueError("no such thing"),
    "permanent": lambda: PermanentError("no such customer"),
    "permanent, no text": PermanentError,
    "later": lambda: RetryAfter(90, "the service is busy"),
    "later, no text": lambda: RetryAfter(90),
    "later, without its own making": Careless,
    "no message": ValueError,
    "long": lambda: ValueError("x" * 5000),
    "surrogate": lambda: ValueError("bad \udcff"),
    "not picklable": lambda: NotPicklable("has a lock", object()),
    "no text": NoText,
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "cancelled": asyncio.CancelledError,
}


def raise_by_name(name: str) -> NoReturn:
    if name == "recursion":
        raise_by_name(name)
    error = ERRORS[name]()
    raise error


def act(job: Job) -> Any:  # noqa: C901 - one case for each deed
    """Do what the payload says."""
    match job.payload:
        case {"raise": name}:
            raise_by_name(name)
        case {"return": value}:
            return value
        case {"return_by_name": name}:
            return BAD_RESULTS[name]
        case {"die": number}:
            os.kill(os.getpid(), number)
            threading.Event().wait()
        case {"os_exit": status}:
            os._exit(status)
        case {"hang": path}:
            # Not to be stopped by an exception.
            Path(path).write_text(str(os.getpid()))
            while True:
                time.sleep(3600)
        case {"wait_for": path}:
            until_exists(path)
            time.sleep(job.payload.get("sleep", 0))
        case {"sigint": _}:
            os.kill(os.getpid(), signal.SIGINT)
        case {"log": event}:
            structlog.get_logger().info(event)
        case {"say": words}:
            for percent, message in words:
                progress(percent, message)
            until_exists(job.payload.get("then_wait_for"))
    return {
        "pid": os.getpid(),
        "thread": threading.current_thread().name,
        "id": job.id,
        "attempt": job.attempt,
    }


def until_exists(path: str | None) -> None:
    while path and not Path(path).exists():
        time.sleep(0.01)


def circle() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    inner["inner"] = inner
    return inner


BAD_RESULTS: dict[str, Any] = {
    "none": None,
    "text": "text",
    "list": [{}],
    "nan": {"rows": [1, {"x": float("nan")}]},
    "infinite": {"x": float("-inf")},
    "key": {"rows": {1: 2}},
    "set": {"x": {1}},
    "bytes": {"x": b"y"},
    "surrogate": {"x": "\ud800"},
    "circle": circle(),
    "large": {"x": "y" * 2**20},
    "integer": {"x": 2**53 + 1},
}


@handler("act-thread")
def act_in_thread(job: Job) -> Any:
    return act(job)


@handler("act-process", run_in="process")
def act_in_process(job: Job) -> Any:
    return act(job)


@handler("act-loop", run_in="loop")
def act_in_loop(job: Job) -> Any:
    return act(job)


@handler("act-async")
async def act_async(job: Job) -> Any:
    await asyncio.sleep(0)
    match job.payload:
        case {"cancel_self": _}:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        case {"forever": path}:
            await wait_forever(path, job.payload.get("then"))
        case {"ignore_until": path}:
            while not Path(path).exists():  # noqa: ASYNC240 - nobody sets an event
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
        case {"swallow": path}:
            try:
                await wait_forever(path, None)
            except asyncio.CancelledError:
                return {"cleaned": "up"}
    return act(job)


async def wait_forever(path: str, then: str | None) -> None:
    Path(path).touch()  # noqa: ASYNC240 - it tells the test at once
    try:
        await asyncio.Event().wait()
    finally:
        Path(path).unlink()  # noqa: ASYNC240 - likewise
        if then is not None:
            raise_by_name(then)
