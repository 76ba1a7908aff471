"""The `@handler` decorator.

It leaves the function as it is, so that a process pool can find it by name, and notes the declaration in the module that
holds the function. So there is no table that all modules share, and nothing is forgotten when a later function in the
module has the same name.
"""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any, Literal, TypeVar, get_args

from contract_runtime.job_types import JOB_TYPE_PATTERN

DECLARATIONS = "__job_handlers__"
"""Name of the list in a module's namespace."""

RunIn = Literal["loop", "thread", "process"]
F = TypeVar("F", bound=Callable[..., Any])


class WrongHandlers(ValueError):
    """A handler is declared wrongly, or its module cannot be loaded; the text says where and what to do."""


@dataclass(frozen=True)
class HandlerSpec:
    """A handler and its way of running: `function` takes a Job and returns a dict, or a coroutine of one."""

    type: str
    function: Callable[..., Any]
    run_in: RunIn

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def is_inline(self) -> bool:
        """Whether it runs on the loop from beginning to end without a pause."""
        return self.run_in == "loop" and not self.is_async

    @property
    def lane(self) -> str:
        """Which jobs it shares places with."""
        return "inline" if self.is_inline else self.run_in

    @property
    def place(self) -> str:
        """Where the function stands, as `file:line`."""
        code = inspect.unwrap(self.function).__code__
        return f"{code.co_filename}:{code.co_firstlineno}"


def handler(job_type: str, *, run_in: RunIn | None = None) -> Callable[[F], F]:
    """Declare a function as the handler of a job type. It takes a Job, and returns a JSON object as a dict or raises.

    By default an `async def` runs on the event loop, a `def` in a thread. A `def` may ask for a process of its own
    (CPU-heavy work), or for the loop (work of less than a millisecond). Raises WrongHandlers.
    """
    if not isinstance(job_type, str):
        raise WrongHandlers('write @handler("a-job-type")')
    if re.fullmatch(JOB_TYPE_PATTERN, job_type) is None:
        raise WrongHandlers(
            f"handler type {job_type!r}: must be 1 to 63 characters a-z, 0-9, '-', the first one a letter"
        )
    if run_in is not None and run_in not in get_args(RunIn):
        raise WrongHandlers(
            f"handler {job_type!r}: run_in must be 'loop', 'thread' or 'process', is {run_in!r}"
        )

    def declare(function: F) -> F:
        spec = _spec(job_type, function, run_in)
        vars(sys.modules[spec.function.__module__]).setdefault(DECLARATIONS, []).append(spec)
        return function

    return declare


def handlers_in(module: ModuleType) -> tuple[HandlerSpec, ...]:
    """The handlers that stand in `module` itself, in their order; not those that it imports."""
    return tuple(vars(module).get(DECLARATIONS, ()))


def _spec(job_type: str, function: Any, run_in: RunIn | None) -> HandlerSpec:
    if not isinstance(function, FunctionType):
        raise WrongHandlers(f"handler {job_type!r}: must be a function, is a {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise WrongHandlers(f"handler {job_type!r}: must return its result, not yield it")
    is_async = inspect.iscoroutinefunction(function)
    if is_async and run_in in ("thread", "process"):
        raise WrongHandlers(
            f"handler {job_type!r}: an async def runs in the loop; make it a def to run it in a {run_in}"
        )
    return HandlerSpec(job_type, function, run_in or ("loop" if is_async else "thread"))
