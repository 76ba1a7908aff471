"""What a handler says of how far it is: the same call in all ways of running, heard by whoever runs the handler."""

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
"""Takes a handler's words, from any thread, and never waits."""

_say: ContextVar[ProgressSink] = ContextVar("say")


def progress(percent: float, message: str = "") -> None:
    """Say how far the handler is that calls this; Get shows the latest word within about a second. Never waits.

    `percent`: 0 to 100. `message`: for people; what goes beyond 512 characters is cut off. Raises ValueError if `percent`
    is out of range, TypeError if it is no number or the message no text, and OutsideHandler.
    """
    try:
        say = _say.get()
    except LookupError:
        raise OutsideHandler(
            "progress() can be called by a running handler only. A thread that the handler starts does not count: "
            "start it in a copy of the handler's context (contextvars.copy_context().run), as asyncio.to_thread does"
        ) from None
    # Looked at as a plain float and a plain str: a heartbeat carries them, and a subclass may say anything of itself.
    exact = float(percent) if 0 <= percent <= 100 else math.nan
    if not 0 <= exact <= 100:
        raise ValueError(f"progress: percent must be from 0 to 100, is {percent}")
    if not issubclass(type(message), str):
        raise TypeError(f"progress: message must be a str, is a {type(message).__name__}")
    say(ProgressUpdate(exact, str.__getitem__(message, slice(MAX_MESSAGE))))


def hear(say: ProgressSink) -> None:
    """Have `say` hear what is said in this context from here on."""
    _say.set(say)


def ignore_progress(_word: ProgressUpdate) -> None:
    """For handlers whom nobody listens to."""
