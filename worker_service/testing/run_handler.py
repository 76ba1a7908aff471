"""Runs one attempt at a job in a test."""

import asyncio
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never
from uuid import uuid4

from contract_runtime.structs import dict_to_struct, struct_to_dict
from worker_service.execution.line_buffer import MAX_BYTES, JobLine
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Succeeded
from worker_service.handler_api.handler import HandlerSpec, WrongHandlers, handlers_in
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import ProgressUpdate
from worker_service.handler_api.typed_call import adapter_of
from worker_service.handlers.registry import check_handler
from worker_service.testing.background import background
from worker_service.testing.recorded_lines import lines_recorded

DEFAULT_ATTEMPTS = 3
"""The contract's default for RetryPolicy.max_attempts."""


@dataclass(frozen=True, slots=True)
class HandlerRun:
    """How an attempt ended, and what was recorded.

    `result`: None if it failed. Then `reason` and `message` are those of the job's error, and `is_retried`
    says whether the job would be tried again: after `retry_after` seconds, or, if that is None, as its retry
    policy says. `progress` and `log` are in order; the log has the latest 200 lines.
    """

    result: dict[str, Any] | None
    reason: str
    message: str
    is_retried: bool
    retry_after: float | None
    progress: Sequence[ProgressUpdate]
    log: Sequence[JobLine]


class _Recorder:
    """A RunListener."""

    def __init__(self) -> None:
        self.progress: list[ProgressUpdate] = []

    def on_progress(self, update: ProgressUpdate) -> None:
        self.progress.append(update)

    def on_left_running(self, handler: asyncio.Future[Any]) -> None:
        """A handler in a thread runs on, as in a worker."""


def run_handler(
    handler: Callable[..., Any],
    payload: Any = None,
    *,
    labels: Mapping[str, str] | None = None,
    attempt: int = 1,
    max_attempts: int = DEFAULT_ATTEMPTS,
    timeout: float | timedelta | None = None,
) -> HandlerRun:
    """Run a function that is declared with `@handler` as a worker does, where it declares, and wait for its
    end.

    `payload`: a dict, or what a client would send as one: a dataclass or a pydantic model. `attempt`: from
    `max_attempts` on, a failure is final. `timeout`: in seconds; None: no limit.

    Raises WrongHandlers if a worker would not load the handler, and ValueError if the payload is no JSON
    object. What the handler raises is in the answer.
    """
    spec = _spec_of(handler)
    check_handler(spec)
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    data = struct_to_dict(dict_to_struct(_as_json(payload)))
    job = Job(str(uuid4()), spec.type, attempt, data, dict(labels or {}), max_attempts, seconds)
    recorder, runner = _Recorder(), background()
    with lines_recorded():
        outcome = runner.run(runner.executor.run(spec, job, seconds=seconds, listener=recorder))
    lines = runner.executor.lines.unsent_of([(job.id, job.attempt)], MAX_BYTES)
    runner.executor.lines.note_sent(lines)
    log = [line for part in lines for line in part.lines]
    return _run(outcome, job, recorder.progress, log)


def _run(
    outcome: Outcome, job: Job, progress: Sequence[ProgressUpdate], log: Sequence[JobLine]
) -> HandlerRun:
    match outcome:
        case Succeeded(result):
            return HandlerRun(struct_to_dict(result), "", "", False, None, progress, log)
        case Failed(reason, message):
            is_retried = not outcome.permanent and job.attempt < job.max_attempts
            delay = outcome.retry_after if is_retried else None
            return HandlerRun(None, str(reason), message, is_retried, delay, progress, log)
        case Interrupted():
            raise RuntimeError("the handler was interrupted: the process ends")
        case _:
            assert_never(outcome)


def _spec_of(function: Callable[..., Any]) -> HandlerSpec:
    module = sys.modules[function.__module__]
    for spec in reversed(handlers_in(module)):
        if spec.function is function:
            return spec
    raise WrongHandlers(f'{function.__qualname__} is no handler: declare it with @handler("a-job-type")')


def _as_json(payload: Any) -> dict[str, Any]:
    if payload is None:
        return {}
    if dataclasses.is_dataclass(payload) or hasattr(type(payload), "model_dump"):
        kind: Any = type(payload)
        payload = adapter_of(kind).dump_python(payload, mode="json", by_alias=True)
    if not isinstance(payload, dict):
        raise ValueError(  # noqa: TRY004 - the same error as for the content of a dict
            f"payload: must be a dict, a dataclass or a pydantic model, is a {type(payload).__name__}"
        )
    return payload
