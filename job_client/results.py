"""Results as the type that the caller names: a dataclass, a TypedDict, a pydantic model or dict. Pure."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from job_client.errors import JobClientError
from job_client.fields import type_name
from job_client.payloads import is_dataclass, is_model

R = TypeVar("R")
MAX_PROBLEM = 300
SCALARS = (str, int, float, bool)
LISTS = (list, tuple, set, frozenset, Sequence)


class ResultMismatch(JobClientError):
    """The job completed, and its result does not fit the type that the caller named.

    `metadata` has the job's id.
    """


class _Misfit(Exception):
    """`path` is the place in the result."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def typed_result(result: Mapping[str, Any] | None, wanted: type[R], job_id: str) -> R:
    """The result of a completed job as `wanted`. Raises ResultMismatch."""
    try:
        value: R = _typed({} if result is None else dict(result), wanted, "result")
    except Exception as error:
        problem = str(error) if isinstance(error, _Misfit) else f"result: {error}"
        raise ResultMismatch(
            f"job {job_id}: the result is no {getattr(wanted, '__name__', wanted)}: {problem[:MAX_PROBLEM]}",
            reason="CLIENT_RESULT_MISMATCH",
            metadata={"id": job_id},
        ) from error
    return value


def check_result_type(wanted: Any) -> None:
    """Raise TypeError if results cannot be converted to this."""
    fits = is_model(wanted) or is_typeddict(wanted) or is_dataclass(wanted)
    if not fits and dict not in (wanted, get_origin(wanted)):
        shown = repr(wanted)[:200] if isinstance(wanted, type) else f"of type {type_name(wanted)}"
        raise TypeError(f"result must be a dataclass, a pydantic model, a TypedDict or dict, is {shown}")


def _typed(value: Any, wanted: Any, path: str) -> Any:
    kind = get_origin(wanted) or wanted
    if wanted in (Any, object):
        return value
    if kind in CONVERTERS:
        return CONVERTERS[kind](value, kind, get_args(wanted), path)
    if is_model(wanted):
        return wanted.model_validate(value)
    if is_typeddict(kind) or is_dataclass(kind):
        _check(isinstance(value, dict), value, path, "an object")
        return _object(value, kind, path)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return wanted(value)
    raise _Misfit(path, f"a value of type {wanted} cannot be made from JSON; use a pydantic model for it")


def _required(value: Any, _kind: Any, kinds: tuple[Any, ...], path: str) -> Any:
    return _typed(value, kinds[0], path)


def _one_of(value: Any, _kind: Any, kinds: tuple[Any, ...], path: str) -> Any:
    problems = []
    for kind in kinds:
        try:
            return _typed(value, kind, path)
        except Exception as error:  # noqa: BLE001 - the next kind may fit
            problems.append(error)
    raise problems[0]


def _literal(value: Any, _kind: Any, choices: tuple[Any, ...], path: str) -> Any:
    _check(value in choices, value, path, f"one of {choices}")
    return value


def _mapping(value: Any, _kind: Any, kinds: tuple[Any, ...], path: str) -> Any:
    _check(isinstance(value, dict), value, path, "an object")
    return {key: _typed(item, kinds[1] if kinds else Any, f"{path}.{key}") for key, item in value.items()}


def _items(value: Any, wanted: Any, kinds: tuple[Any, ...], path: str) -> Any:
    _check(isinstance(value, list), value, path, "a list")
    if wanted is tuple and kinds and kinds[-1] is not Ellipsis:
        _check(len(value) == len(kinds), value, path, f"a list of {len(kinds)} values")
    else:
        kinds = (kinds[0] if kinds else Any,) * len(value)
    pairs = enumerate(zip(value, kinds, strict=True))
    made = [_typed(item, kind, f"{path}[{index}]") for index, (item, kind) in pairs]
    return made if wanted in (list, Sequence) else wanted(made)


def _null(value: Any, _kind: Any, _kinds: tuple[Any, ...], path: str) -> None:
    _check(value is None, value, path, "null")


def _scalar(value: Any, wanted: Any, _kinds: tuple[Any, ...], path: str) -> Any:
    """A whole number is a float, too. JSON does not tell them apart."""
    if wanted is float and type(value) is int:
        return float(value)
    _check(type(value) is wanted, value, path, wanted.__name__)
    return value


CONVERTERS: Mapping[Any, Callable[[Any, Any, tuple[Any, ...], str], Any]] = {
    Required: _required,
    NotRequired: _required,
    Union: _one_of,
    UnionType: _one_of,
    Literal: _literal,
    dict: _mapping,
    Mapping: _mapping,
    **dict.fromkeys(LISTS, _items),
    **dict.fromkeys(SCALARS, _scalar),
    None: _null,
    NoneType: _null,
}
"""How each kind of type takes a value: `(value, type, arguments of the type, path)`."""


def _object(value: dict[str, Any], wanted: Any, path: str) -> Any:
    """Fields that the type does not have are left out, so that a handler may add some."""
    hints, required = _fields(wanted)
    if missing := sorted(required - value.keys()):
        raise _Misfit(f"{path}.{missing[0]}", "is missing")
    made = {
        name: _typed(value[name], kind, f"{path}.{name}") for name, kind in hints.items() if name in value
    }
    return made if is_typeddict(wanted) else wanted(**made)


@lru_cache(maxsize=256)
def _fields(wanted: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The type of each field, and the names of those that must be there."""
    hints = get_type_hints(wanted)
    if is_typeddict(wanted):
        return hints, wanted.__required_keys__
    fields = [each for each in dataclasses.fields(wanted) if each.init]
    needed = [each.name for each in fields if each.default is each.default_factory is dataclasses.MISSING]
    return {each.name: hints[each.name] for each in fields}, frozenset(needed)


def _check(fits: bool, value: Any, path: str, wanted: str) -> None:
    if not fits:
        raise _Misfit(path, f"must be {wanted}, is of type {type_name(value)}")
