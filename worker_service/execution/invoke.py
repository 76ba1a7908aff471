"""Calls a handler and folds whatever comes of it into an outcome. The same in the loop, a thread or a process."""

import asyncio
import importlib
import os
from collections.abc import Callable
from contextvars import copy_context
from operator import attrgetter
from typing import Any

from structlog.contextvars import bind_contextvars

from contract_runtime.structs import StructError, StructTooLargeError, dict_to_struct
from contract_runtime.value import value
from service_runtime.traces import format_error
from worker_service.execution.error_text import (
    describe,
    is_group,
    leaves,
    short,
    text_of,
    type_name,
    with_others,
)
from worker_service.execution.forks import end_if_forked
from worker_service.execution.outcome import Failed, Reason, Succeeded
from worker_service.handler_api.job import (
    InputError,
    Job,
    PermanentError,
    RetryAfter,
    note_cancelled,
    seconds_of,
)
from worker_service.handler_api.progress import ProgressSink, hear, ignore_progress


@value
class Ended:
    """How a handler ended. `trace` is for the log, empty if nothing is wrong with the handler."""

    outcome: Succeeded | Failed
    trace: str = ""


def call(function: Callable[[Job], Any], job: Job, say: ProgressSink = ignore_progress) -> Ended:
    """Run a plain handler here and now. Raises nothing, whatever the handler does."""
    # In a context of its own, so that what the handler binds to it is not bound for the next one.
    return copy_context().run(_call, function, job, say)


def _call(function: Callable[[Job], Any], job: Job, say: ProgressSink) -> Ended:
    _enter(job, say)
    pid = os.getpid()
    try:
        try:
            result = function(job)
        finally:
            end_if_forked(pid)
        return _succeeded(result)
    except BaseException as error:  # noqa: BLE001 - SystemExit in a handler must not end the worker
        return _failed(error)


async def invoke_async(
    function: Callable[[Job], Any], job: Job, say: ProgressSink = ignore_progress
) -> Ended:
    """Run an async handler in a task of its own. Raises nothing once it has begun, not even when it is cancelled."""
    _enter(job, say)
    pid = os.getpid()
    try:
        try:
            result = await function(job)
        finally:
            end_if_forked(pid)
        return _succeeded(result)
    except BaseException as error:  # noqa: BLE001 - the executor knows whether a cancellation was its own
        if issubclass(type(error), asyncio.CancelledError):
            # Threads that it has started, as by asyncio.to_thread, run on, and may ask.
            note_cancelled(job)
        return _failed(error)


def _enter(job: Job, say: ProgressSink) -> None:
    """Have what is logged from here on name the job, and `say` hear what is said."""
    bind_contextvars(job_id=job.id, type=job.type, attempt=job.attempt)
    hear(say)


def invoke_by_name(
    module: str, qualified_name: str, job: Job, begin: Callable[[], None], say: ProgressSink
) -> Ended:
    """Run the plain handler of that name; for another process, which gets names and plain data only.

    `begin` is called once it has been found, which takes long where its module has yet to be imported.
    """

    def find_and_call(job: Job) -> Any:
        function = attrgetter(qualified_name)(importlib.import_module(module))
        begin()
        return function(job)

    return call(find_and_call, job, say)


def _succeeded(result: Any) -> Ended:
    """May raise what the result's own code raises, if its types are the handler's."""
    if not issubclass(type(result), dict):
        return Ended(
            Failed(
                Reason.INVALID_RESULT,
                f"result: must be a JSON object (dict), is of type {type_name(result)}",
                permanent=True,
            )
        )
    try:
        return Ended(Succeeded(dict_to_struct(result)))
    except StructTooLargeError as error:
        return Ended(Failed(Reason.RESULT_TOO_LARGE, short(f"result: {error}"), permanent=True))
    except StructError as error:
        return Ended(Failed(Reason.INVALID_RESULT, short(str(error.inside("result"))), permanent=True))


def _failed(error: BaseException) -> Ended:
    """Of a group, what its members say counts: that another try cannot help, else the longest wait that one asks for."""
    members = leaves(error)
    errors = [error, *members] if is_group(error) else members
    final = next((each for each in errors if _is_a(each, InputError, PermanentError)), None)
    if final is not None:
        reason = Reason.INVALID_INPUT if _is_a(final, InputError) else Reason.PERMANENT_ERROR
        return Ended(Failed(reason, _told(final, members), permanent=True), _trace(error, members))
    waits = [(each, _delay_of(each)) for each in errors if _is_a(each, RetryAfter)]
    if waits:
        longest, delay = max(waits, key=lambda wait: -1.0 if wait[1] is None else wait[1])
        message = _told(longest, members)
        return Ended(Failed(Reason.RETRY_AFTER, message, retry_after=delay), _trace(error, members))
    return Ended(Failed(Reason.HANDLER_ERROR, describe(error)), format_error(error))


def _is_a(error: BaseException, *kinds: type[BaseException]) -> bool:
    """By its real type: `isinstance` also asks the error's own code."""
    return issubclass(type(error), kinds)


def _told(decisive: BaseException, members: list[BaseException]) -> str:
    others = [each for each in members if each is not decisive]
    return with_others(text_of(decisive) or type_name(decisive), others)


def _trace(error: BaseException, members: list[BaseException]) -> str:
    """Empty if all of them were raised to say something."""
    if all(_is_a(each, InputError, PermanentError, RetryAfter) for each in members):
        return ""
    return format_error(error)


def _delay_of(error: BaseException) -> float | None:
    """None if a handler's own kind of RetryAfter has none."""
    try:
        return seconds_of(error.delay)  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - this too is the handler's code
        return None
