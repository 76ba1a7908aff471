"""Calls a handler and turns its result or error into an outcome. Loop, threads and processes all use it."""

import asyncio
import importlib
import os
from collections.abc import Callable
from contextvars import copy_context
from operator import attrgetter
from typing import Any

from structlog.contextvars import bind_contextvars

from contract_runtime.structs import StructError, StructTooLargeError
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
from worker_service.execution.line_buffer import LineSink, send_lines_to
from worker_service.execution.outcome import Failed, Reason, Succeeded
from worker_service.execution.prints import end_lines
from worker_service.handler_api.errors import InputError, PermanentError, RetryAfter, delay_seconds
from worker_service.handler_api.job import Job, mark_cancelled, mark_started
from worker_service.handler_api.progress import ProgressSink, ignore_progress, send_progress_to
from worker_service.handler_api.typed_call import WrongResult, call_of


@value
class InvocationResult:
    """How a call of a handler ended. `trace` is for the log; it is empty if the handler is not at fault."""

    outcome: Succeeded | Failed
    trace: str = ""


def invoke(
    function: Callable[[Job], Any],
    job: Job,
    on_progress: ProgressSink = ignore_progress,
    lines: LineSink | None = None,
) -> InvocationResult:
    """Call a plain handler in this thread. Raises nothing, whatever the handler does.

    `lines` gets what the handler logs.
    """
    # In a context of its own: what this handler binds must not be bound for the next one.
    return copy_context().run(_invoke, function, job, on_progress, lines)


def _invoke(
    function: Callable[[Job], Any], job: Job, on_progress: ProgressSink, lines: LineSink | None
) -> InvocationResult:
    _set_context(job, on_progress, lines)
    pid = os.getpid()
    try:
        try:
            result = function(job)
        finally:
            end_if_forked(pid)
            _end_lines(lines)
        return _succeeded(result)
    except BaseException as error:  # noqa: BLE001 - SystemExit in a handler must not end the worker
        return _failed(error)


async def invoke_async(
    function: Callable[[Job], Any],
    job: Job,
    on_progress: ProgressSink = ignore_progress,
    lines: LineSink | None = None,
) -> InvocationResult:
    """Call an async handler, in a task of its own. Once it runs it raises nothing, even when cancelled."""
    _set_context(job, on_progress, lines)
    pid = os.getpid()
    try:
        try:
            result = await function(job)
        finally:
            end_if_forked(pid)
            _end_lines(lines)
        return _succeeded(result)
    except BaseException as error:  # noqa: BLE001 - the executor knows whether the cancellation was its own
        if issubclass(type(error), asyncio.CancelledError):
            # Threads that the handler started, as with asyncio.to_thread, still run and can ask the job.
            mark_cancelled(job)
        return _failed(error)


def invoke_by_name(
    module: str,
    qualified_name: str,
    job: Job,
    on_started: Callable[[], None],
    on_progress: ProgressSink,
    lines: LineSink | None = None,
) -> InvocationResult:
    """Call the plain handler with this name, in a process that received only the name. Raises nothing.

    `on_started` is called once the function is found, just before the call. To import its module can take
    long.
    """

    def find_and_call(job: Job) -> Any:
        function = attrgetter(qualified_name)(importlib.import_module(module))
        call = call_of(function)
        on_started()
        return call(job)

    return invoke(find_and_call, job, on_progress, lines)


def _set_context(job: Job, on_progress: ProgressSink, lines: LineSink | None) -> None:
    bind_contextvars(job_id=job.id, type=job.type, attempt=job.attempt)
    send_progress_to(on_progress)
    send_lines_to(lines)
    mark_started(job)


def _end_lines(lines: LineSink | None) -> None:
    if lines is not None and lines.printed:
        end_lines(lines)


def _succeeded(result: Any) -> InvocationResult:
    """The outcome of a returned `result`. Can raise anything: code of the handler's own types runs here."""
    if not issubclass(type(result), dict):
        return InvocationResult(
            Failed(
                Reason.INVALID_RESULT,
                f"result: must be a JSON object (dict), is of type {type_name(result)}",
                permanent=True,
            )
        )
    try:
        return InvocationResult(Succeeded.with_result(result))
    except StructTooLargeError as error:
        return InvocationResult(Failed(Reason.RESULT_TOO_LARGE, short(f"result: {error}"), permanent=True))
    except StructError as error:
        message = short(str(error.inside("result")))
        return InvocationResult(Failed(Reason.INVALID_RESULT, message, permanent=True))


def _failed(error: BaseException) -> InvocationResult:
    """The outcome of a handler that raised `error`.

    In a group, an error that forbids another try counts, else the RetryAfter with the longest delay.
    """
    if _is_a(error, WrongResult):
        return InvocationResult(Failed(Reason.INVALID_RESULT, text_of(error), permanent=True))
    members = leaves(error)
    errors = [error, *members] if is_group(error) else members
    final = next((each for each in errors if _is_a(each, InputError, PermanentError)), None)
    if final is not None:
        reason = Reason.INVALID_INPUT if _is_a(final, InputError) else Reason.PERMANENT_ERROR
        failed = Failed(reason, _message(final, members), permanent=True)
        return InvocationResult(failed, _trace(error, members))
    retries = [(each, _delay_of(each)) for each in errors if _is_a(each, RetryAfter)]
    if retries:
        longest, delay = max(retries, key=lambda retry: -1.0 if retry[1] is None else retry[1])
        failed = Failed(Reason.RETRY_AFTER, _message(longest, members), retry_after=delay)
        return InvocationResult(failed, _trace(error, members))
    return InvocationResult(Failed(Reason.HANDLER_ERROR, describe(error)), format_error(error))


def _is_a(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Like isinstance, by the real type only: isinstance also asks the error's own code."""
    return issubclass(type(error), kinds)


def _message(decisive: BaseException, members: list[BaseException]) -> str:
    others = [each for each in members if each is not decisive]
    return with_others(text_of(decisive) or type_name(decisive), others)


def _trace(error: BaseException, members: list[BaseException]) -> str:
    """The traceback for the log. Empty if the handler raised all of these errors on purpose."""
    if all(_is_a(each, InputError, PermanentError, RetryAfter) for each in members):
        return ""
    return format_error(error)


def _delay_of(error: BaseException) -> float | None:
    """None if a handler's own subclass of RetryAfter has no usable delay."""
    try:
        return delay_seconds(error.delay)  # type: ignore[attr-defined]  # - only RetryAfter comes here
    except BaseException:  # noqa: BLE001 - the attribute can be the handler's code
        return None
