"""Runs the stored payload of a job in a handler of this machine, by the worker's own rules.

It needs the extra `worker`, and is the only module of the client that knows the worker.
"""

import asyncio
import logging
import os
import pdb  # noqa: T100 - `--debug` starts it
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from contract_runtime.structs import struct_to_dict
from job_client.cli.inputs import WrongInput
from worker_service.execution.invoke import InvocationResult, invoke, invoke_async
from worker_service.execution.outcome import Succeeded
from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.job import Job as HandlerJob
from worker_service.handlers.registry import WrongHandlers, load_handlers

if TYPE_CHECKING:
    from job_client.job import Job

OnProgress = Callable[[float, str], None]


class Replayed:
    """How the handler ended: either `result`, or `reason` and `message`, and `trace` if it has one."""

    def __init__(self, invocation: InvocationResult) -> None:
        outcome = invocation.outcome
        self.trace = invocation.trace
        self.result: dict[str, Any] | None = None
        self.reason = self.message = ""
        if isinstance(outcome, Succeeded):
            self.result = struct_to_dict(outcome.result)
        else:
            self.reason, self.message = str(outcome.reason), outcome.message


def find_handler(job_type: str, modules: Sequence[str], file_root: Path) -> HandlerSpec:
    """Raises WrongInput."""
    try:
        handlers = load_handlers(modules, file_root)
    except WrongHandlers as error:
        raise WrongInput(str(error)) from None
    if job_type not in handlers:
        raise WrongInput(
            f"there is no handler for {job_type!r} here; name its module: --handlers MODULE, "
            "or set WORKER_HANDLERS"
        )
    return handlers[job_type]


def replay(job: "Job", spec: HandlerSpec, on_progress: OnProgress, *, debug: bool) -> Replayed:
    """Call the handler in this process, whatever its `run_in` is. What it logs goes to standard error."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    payload, policy = dict(job.payload or {}), job.retry_policy
    handler_job = HandlerJob(
        id=job.id,
        type=job.type,
        attempt=max(1, job.attempt),
        payload=payload,
        labels=job.labels,
        max_attempts=(policy and policy.max_attempts) or 0,
    )

    def run() -> InvocationResult:
        # What the handler prints must not mix with the result.
        with redirect_stdout(sys.stderr):
            if spec.is_async:
                return asyncio.run(invoke_async(spec.call, handler_job, report))
            return invoke(spec.call, handler_job, report)

    def report(update: Any) -> None:
        on_progress(update.percent, update.message)

    return Replayed(_debugged(spec, run) if debug else run())


def _debugged(spec: HandlerSpec, run: Callable[[], InvocationResult]) -> InvocationResult:
    """Run under pdb, which stops at the first line of the handler."""
    debugger = pdb.Pdb(nosigint=True)
    code = spec.function.__code__
    debugger.rcLines = [f"tbreak {os.path.realpath(code.co_filename)}:{first_line(code)}", "continue"]
    result = debugger.runcall(run)
    if result is None:
        raise KeyboardInterrupt  # the user has quit
    return result


def first_line(code: CodeType) -> int:
    """The line of a function's first statement."""
    lines = (line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno)
    return next(lines, code.co_firstlineno)
