"""Reads fields of a payload, with the same error message for the same mistake."""

from collections.abc import Mapping
from typing import Any

from contract_runtime.json_kind import kind_of
from worker_service.handler_api.errors import InputError

MAX_SHOWN = 60
"""Characters of a wrong value that an error message repeats."""


def text_field(payload: Mapping[str, Any], field: str) -> str:
    """A required string. Raises InputError."""
    if field not in payload:
        raise InputError(field, "must be given")
    value = payload[field]
    if not isinstance(value, str):
        raise InputError(field, f"must be a string, is {kind_of(value)}")
    return value


def optional_text_field(payload: Mapping[str, Any], field: str) -> str | None:
    """A string, or None if it is absent or null. Raises InputError."""
    return None if payload.get(field) is None else text_field(payload, field)


def list_field(payload: Mapping[str, Any], field: str) -> list[Any]:
    """A list with at least one item. Raises InputError."""
    value = payload[field]
    if not isinstance(value, list):
        raise InputError(field, f"must be a list, is {kind_of(value)}")
    if not value:
        raise InputError(field, "must have at least one item")
    return value


def one_of(payload: Mapping[str, Any], *fields: str) -> str:
    """The field of `fields` that is not absent or null. Raises InputError if it is not exactly one."""
    given = [field for field in fields if payload.get(field) is not None]
    if len(given) != 1:
        raise InputError(" or ".join(fields), f"exactly one must be given, not {len(given)}")
    return given[0]


def shown(text: str) -> str:
    """A wrong value for an error message: quoted, and cut to MAX_SHOWN characters."""
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")
