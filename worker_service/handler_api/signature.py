"""What the signature of a handler asks for: a Job, or the payload as a type of the user's own. Pure."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from worker_service.handler_api.job import Job

WRITE = "async def handle(payload: Request, job: Job) -> Result"
_NOTHING = inspect.Parameter.empty
_PLAIN = (dict, Mapping)
"""Types of a payload and a result that are taken as they are."""


class WrongSignature(ValueError):
    """A handler cannot be called with this signature. The text says what to write."""


@dataclass(frozen=True, slots=True)
class HandlerSignature:
    """A handler takes a Job, or its payload and perhaps the Job as a second argument."""

    takes_payload: bool = False
    takes_job: bool = False
    """Whether a Job follows the payload."""
    payload_type: Any = None
    """None: the payload is a plain dict."""
    result_type: Any = None
    """None: the result is a plain dict."""


TAKES_JOB = HandlerSignature()


def read_signature(function: Callable[..., Any]) -> HandlerSignature:
    """Raises WrongSignature.

    A first parameter without an annotation, or with `Job` or `Any`, takes the Job. Then the return annotation
    means nothing.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise WrongSignature(f"must take the payload or a Job; write {WRITE}")
    first, *others = parameters
    if first.kind is first.KEYWORD_ONLY or first.kind is first.VAR_KEYWORD:
        raise WrongSignature(f"must take its first argument by position; write {WRITE}")
    payload = _resolved(function, first.name, first.annotation)
    required = [each for each in others if _is_required(each)]
    if _is_job(payload):
        if required:
            raise WrongSignature(
                f"takes a Job, so it must take nothing else, but needs {required[0].name!r} too; "
                f"to get the payload as a type, write {WRITE}"
            )
        return TAKES_JOB
    takes_job = _takes_job(function, others, required)
    result = _resolved(function, "return", inspect.signature(function).return_annotation)
    return HandlerSignature(
        True, takes_job, _object_type(first.name, payload), _object_type("the result", result)
    )


def _takes_job(
    function: Callable[..., Any], others: list[inspect.Parameter], required: list[inspect.Parameter]
) -> bool:
    """Whether a Job is the second parameter."""
    if required[1:]:
        raise WrongSignature(f"needs {required[1].name!r} too, but gets a payload and a Job; write {WRITE}")
    if not others:
        return False
    second = others[0]
    is_positional = second.kind in (second.POSITIONAL_ONLY, second.POSITIONAL_OR_KEYWORD)
    annotation = _resolved(function, second.name, second.annotation)
    if is_positional and annotation is not _NOTHING and _is_job(annotation) and annotation is not Any:
        return True
    if required:
        raise WrongSignature(f"the second parameter, {required[0].name!r}, must be a Job; write {WRITE}")
    return False


def _is_required(parameter: inspect.Parameter) -> bool:
    may_be_absent = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return not may_be_absent and parameter.default is _NOTHING


def _resolved(function: Callable[..., Any], name: str, annotation: Any) -> Any:
    """The annotation, with the types that it names as text. Raises WrongSignature."""
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True).get(name)
    except Exception as error:  # noqa: BLE001 - an annotation is any code of the user's
        # Modules that import Job only for the type checker.
        if isinstance(annotation, str) and annotation.rpartition(".")[2] == "Job":
            return Job
        if name == "return":
            raise WrongSignature(
                f"the type of the result, {annotation}, cannot be resolved: {error}"
            ) from None
        raise WrongSignature(
            f"the type of {name!r}, {annotation}, cannot be resolved: {error}; "
            "define it at the top level of the handler's module, or import it there"
        ) from None


def _is_job(annotation: Any) -> bool:
    if annotation is _NOTHING or annotation in (Any, object):
        return True
    return isinstance(annotation, type) and issubclass(annotation, Job)


def _object_type(what: str, annotation: Any) -> Any:
    """The type, or None for a plain dict. Raises WrongSignature if its values are no JSON objects."""
    if annotation in (_NOTHING, Any, object) or (get_origin(annotation) or annotation) in _PLAIN:
        return None
    if not _is_object_type(annotation):
        raise WrongSignature(
            f"the type of {what} must be a dataclass, a pydantic model, a TypedDict or a dict, "
            f"is {_name(annotation)}; write {WRITE}"
        )
    return annotation


def _is_object_type(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_object_type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return all(map(_is_object_type, get_args(annotation)))
    kind = origin or annotation
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or typing.is_typeddict(kind) or _is_other_object_type(kind)
    )


def _is_other_object_type(kind: type) -> bool:
    """Whether it is a pydantic model, or a TypedDict of typing_extensions."""
    import typing_extensions  # noqa: PLC0415 - only handlers with types need it
    from pydantic import BaseModel, RootModel  # noqa: PLC0415 - the same

    is_model = issubclass(kind, BaseModel) and not issubclass(kind, RootModel)
    return is_model or typing_extensions.is_typeddict(kind)


def _name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
