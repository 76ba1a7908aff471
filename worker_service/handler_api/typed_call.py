"""Calls a handler as its signature asks: with a Job, or with the payload as a type of the user's own."""

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from worker_service.handler_api.errors import InputError
from worker_service.handler_api.job import Job
from worker_service.handler_api.signature import HandlerSignature, WrongSignature, read_signature

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

MAX_PROBLEMS = 10
"""How many problems of a payload or a result a message names."""
MAX_HANDLERS = 1024

Convert = Callable[[Any], Any]


class WrongResult(Exception):
    """A handler returned something that is not of the type that it declares. The text says where."""


@lru_cache(maxsize=MAX_HANDLERS)
def call_of(function: Callable[..., Any]) -> Callable[[Job], Any]:
    """What the worker calls with a Job: `function` itself if that takes a Job. Raises WrongSignature.

    A call raises InputError if the payload is not of the handler's type, and WrongResult if the result is
    not.
    """
    signature = read_signature(function)
    if not signature.takes_payload:
        return function
    read, write = _reader(signature.payload_type), _writer(signature.result_type)
    if inspect.iscoroutinefunction(function):

        async def call_async(job: Job) -> Any:
            return write(await function(*_arguments(signature, read, job)))

        return call_async

    def call(job: Job) -> Any:
        return write(function(*_arguments(signature, read, job)))

    return call


def _arguments(signature: HandlerSignature, read: Convert, job: Job) -> tuple[Any, ...]:
    payload = read(job.payload)
    return (payload, job) if signature.takes_job else (payload,)


def adapter_of(kind: Any) -> "TypeAdapter[Any]":
    """Raises WrongSignature if pydantic cannot use the type."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - only handlers with types need it
    from pydantic.errors import PydanticUserError  # noqa: PLC0415 - the same

    try:
        return TypeAdapter(kind)
    except (PydanticUserError, TypeError, NameError) as error:
        text = str(error).partition("\n")[0]
        raise WrongSignature(f"{getattr(kind, '__qualname__', kind)} cannot be used: {text}") from error


def _reader(kind: Any) -> Convert:
    """Makes a payload from JSON data. Raises InputError."""
    if kind is None:
        return _unchanged
    from pydantic import ValidationError  # noqa: PLC0415 - only handlers with types need it

    adapter = adapter_of(kind)

    def read(payload: Any) -> Any:
        try:
            return adapter.validate_python(payload)
        except ValidationError as error:
            [(path, problem), *others] = _problems(error)
            more = "".join(f"; {path or 'payload'}: {problem}" for path, problem in others)
            raise InputError(path or "payload", problem + more) from None

    return read


def _writer(kind: Any) -> Convert:
    """Makes JSON data from a result. Raises WrongResult."""
    if kind is None:
        return _unchanged
    from pydantic import ValidationError  # noqa: PLC0415 - only handlers with types need it
    from pydantic_core import PydanticSerializationError  # noqa: PLC0415 - the same

    adapter = adapter_of(kind)

    def write(result: Any) -> Any:
        try:
            checked = adapter.validate_python(result)
            return adapter.dump_python(checked, mode="json", by_alias=True, warnings="error")
        except ValidationError as error:
            problems = _problems(error)
            text = "; ".join(f"{_inside('result', path)}: {problem}" for path, problem in problems)
            raise WrongResult(text) from None
        except PydanticSerializationError as error:
            raise WrongResult(f"result: {error}") from None

    return write


def _unchanged(value: Any) -> Any:
    return value


def _problems(error: "ValidationError") -> list[tuple[str, str]]:
    """The path and the text of each problem, the first MAX_PROBLEMS of them. There is at least one."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [(path_text(each["loc"]), each["msg"]) for each in found[:MAX_PROBLEMS]]


def path_text(steps: Sequence[int | str]) -> str:
    """The steps as in `rows[3].x`; "" for none."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _inside(outer: str, path: str) -> str:
    return f"{outer}{'' if not path or path.startswith('[') else '.'}{path}"
