"""The `@handler` decorator.

It returns the function unchanged, so that a job process can find it by name. The declaration goes into a list
in the module that defines the function. So modules share no table, and a declaration is kept even if a later
function in the module has the same name.
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
from worker_service.handler_api.job import Job
from worker_service.handler_api.signature import WrongSignature
from worker_service.handler_api.typed_call import call_of

DECLARATIONS = "__job_handlers__"
"""Name of the list of declarations in a module's namespace."""

RunIn = Literal["loop", "thread", "process"]
F = TypeVar("F", bound=Callable[..., Any])


class WrongHandlers(ValueError):
    """A handler is declared wrongly, or its module cannot be imported.

    The text says where, and what to do.
    """


@dataclass(frozen=True)
class HandlerSpec:
    """A handler and where it runs. `function` is the user's; see `call`."""

    type: str
    function: Callable[..., Any]
    run_in: RunIn
    own_lane: str = ""
    """The name of a lane with slots of its own; "": the handler shares the lane of its `run_in`."""

    @cached_property
    def call(self) -> Callable[[Job], Any]:
        """Calls `function` with a Job, or with what it takes instead. It returns a dict, or a coroutine of a
        dict.

        Raises WrongHandlers.
        """
        try:
            return call_of(self.function)
        except WrongSignature as error:
            raise WrongHandlers(f"handler {self.type!r} at {self.location}: {error}") from error

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def is_inline(self) -> bool:
        """Whether it is a plain function on the event loop: it runs from start to end without a pause."""
        return self.run_in == "loop" and not self.is_async

    @property
    def lane(self) -> str:
        """The name of its lane. All jobs of a lane share the lane's slots."""
        return self.own_lane or ("inline" if self.is_inline else self.run_in)

    @property
    def is_own(self) -> bool:
        """Whether it is the user's, and not a built-in one."""
        return self.function.__module__.partition(".")[0] != "worker_service"

    @property
    def location(self) -> str:
        """Where the function is defined, as `file:line`."""
        code = inspect.unwrap(self.function).__code__
        return f"{code.co_filename}:{code.co_firstlineno}"


def handler(job_type: str, *, run_in: RunIn | None = None) -> Callable[[F], F]:
    """Declare a function as the handler of a job type.

    It takes the job's payload as a dataclass, a pydantic model, a TypedDict or a dict, and returns the result
    as one of these. If it has a second parameter, that gets the Job. A first parameter of the type Job, or
    without a type, gets the Job instead of the payload.

    By default an `async def` runs on the event loop and a `def` in a thread. For a `def`, `run_in` can choose
    a process (for CPU-heavy work) or the loop (for work of less than a millisecond). Raises WrongHandlers.
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

    def decorate(function: F) -> F:
        spec = _spec(job_type, function, run_in)
        vars(sys.modules[spec.function.__module__]).setdefault(DECLARATIONS, []).append(spec)
        return function

    return decorate


def handlers_in(module: ModuleType) -> tuple[HandlerSpec, ...]:
    """The handlers that `module` itself defines, in their order; not those that it imports."""
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
