"""Lets a handler report its progress.

The call is the same in the event loop, in a thread and in a process.
"""

import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple

MAX_MESSAGE = 512
"""Characters of a message; the contract's limit for Progress.message."""


class ProgressUpdate(NamedTuple):
    """How far a handler is: `percent` from 0 to 100, and a message for people."""

    percent: float
    message: str


class OutsideHandler(RuntimeError):
    """`progress` was called where no handler runs."""


ProgressSink = Callable[[ProgressUpdate], None]
"""Receives a handler's progress updates. Can be called from any thread, and must not wait."""

_sink: ContextVar[ProgressSink] = ContextVar("progress_sink")


def progress(percent: float, message: str = "") -> None:
    """Report how far the calling handler is. Get shows the latest update within about a second. Never waits.

    `percent` is a number from 0 to 100. `message` is for people; characters beyond 512 are cut off. Raises
    ValueError if `percent` is out of range, TypeError if it is not a number or if `message` is not a str, and
    OutsideHandler if no handler is running.
    """
    try:
        on_progress = _sink.get()
    except LookupError:
        raise OutsideHandler(
            "progress() can only be called by a running handler. A thread that the handler starts must run "
            "in a copy of the handler's context (contextvars.copy_context().run), as asyncio.to_thread does"
        ) from None
    # A heartbeat carries a plain float and a plain str. A subclass may answer anything.
    exact = float(percent) if 0 <= percent <= 100 else math.nan
    if not 0 <= exact <= 100:
        raise ValueError(f"progress: percent must be from 0 to 100, is {percent}")
    if not issubclass(type(message), str):
        raise TypeError(f"progress: message must be a str, is a {type(message).__name__}")
    on_progress(ProgressUpdate(exact, str.__getitem__(message, slice(MAX_MESSAGE))))


def send_progress_to(sink: ProgressSink) -> None:
    """Send the progress updates of the current context to `sink` from now on."""
    _sink.set(sink)


def ignore_progress(_update: ProgressUpdate) -> None:
    """A ProgressSink that drops every update."""
