"""Calls a handler and folds whatever comes of it into an outcome. The same in the loop, a thread or a process."""

import importlib
import traceback
from collections.abc import Callable
from contextvars import copy_context
from operator import attrgetter
from typing import Any

from structlog.contextvars import bind_contextvars

from service_runtime.structs import StructError, StructTooLargeError, dict_to_struct
from service_runtime.value import value
from worker_service.job import InputError, Job, PermanentError, RetryAfter, seconds_of
from worker_service.outcome import Failed, Reason, Succeeded
from worker_service.saying import Say, hear, say_nothing

MAX_MESSAGE = 1000
"""Characters of an error's text that a job keeps."""


@value
class Ended:
    """How a handler ended. `trace` is for the log, empty if nothing is wrong with the handler."""

    outcome: Succeeded | Failed
    trace: str = ""


def call(function: Callable[[Job], Any], job: Job, say: Say = say_nothing) -> Ended:
    """Run a plain handler here and now. Raises nothing, whatever the handler does."""
    # In a context of its own, so that what the handler binds to it is not bound for the next one.
    return copy_context().run(_call, function, job, say)


def _call(function: Callable[[Job], Any], job: Job, say: Say) -> Ended:
    _enter(job, say)
    try:
        return _succeeded(function(job))
    except BaseException as error:  # noqa: BLE001 - SystemExit in a handler must not end the worker
        return _failed(error)


async def call_async(function: Callable[[Job], Any], job: Job, say: Say = say_nothing) -> Ended:
    """Run an async handler in a task of its own. Raises nothing once it has begun, not even when it is cancelled."""
    _enter(job, say)
    try:
        return _succeeded(await function(job))
    except BaseException as error:  # noqa: BLE001 - the executor knows whether a cancellation was its own
        return _failed(error)


def _enter(job: Job, say: Say) -> None:
    """Have what is logged from here on name the job, and `say` hear what is said."""
    bind_contextvars(job_id=job.id, type=job.type, attempt=job.attempt)
    hear(say)


def call_by_name(module: str, qualified_name: str, job: Job, begin: Callable[[], None], say: Say) -> Ended:
    """Run the plain handler of that name; for another process, which gets names and plain data only.

    `begin` is called once it has been found, which takes long where its module has yet to be imported.
    """

    def find_and_call(job: Job) -> Any:
        function = attrgetter(qualified_name)(importlib.import_module(module))
        begin()
        return function(job)

    return call(find_and_call, job, say)


def _succeeded(result: Any) -> Ended:
    if not isinstance(result, dict):
        return Ended(
            Failed(
                Reason.INVALID_RESULT,
                f"result: must be a JSON object (dict), is of type {type(result).__name__}",
                permanent=True,
            )
        )
    try:
        return Ended(Succeeded(dict_to_struct(result)))
    except StructTooLargeError as error:
        return Ended(Failed(Reason.RESULT_TOO_LARGE, _bounded(f"result: {error}"), permanent=True))
    except StructError as error:
        message = _bounded(str(error.inside("result")))
        return Ended(Failed(Reason.INVALID_RESULT, message, permanent=True))


def _failed(error: BaseException) -> Ended:
    name = type(error).__qualname__
    try:
        text = str(error)
    except BaseException as second:  # noqa: BLE001 - this too is the handler's code
        text = f"(its text cannot be had: {type(second).__qualname__})"
    match error:
        case InputError():
            return Ended(Failed(Reason.INVALID_INPUT, _bounded(text or name), permanent=True))
        case PermanentError():
            return Ended(Failed(Reason.PERMANENT_ERROR, _bounded(text or name), permanent=True))
        case RetryAfter():
            return Ended(Failed(Reason.RETRY_AFTER, _bounded(text or name), retry_after=_delay_of(error)))
    message = _bounded(f"{name}: {text}" if text else name)
    return Ended(Failed(Reason.HANDLER_ERROR, message), "".join(traceback.format_exception(error)).rstrip())


def _delay_of(error: RetryAfter) -> float | None:
    """None if a handler's own kind of RetryAfter has none."""
    try:
        return seconds_of(error.delay)
    except Exception:  # noqa: BLE001 - this too is the handler's code
        return None


def _bounded(text: str) -> str:
    """`text` cut to MAX_MESSAGE, and fit for protobuf."""
    short = text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…"
    return short.encode(errors="backslashreplace").decode()
