"""Checks callers' values and converts them to what protobuf takes. Pure.

Callers may pass any object. Each function raises InvalidArgument with the name of the field if the object
does not fit the field. An error that the object's own code raises passes through; the function's caller must
handle it.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from numbers import Integral, Real
from typing import Any, Protocol
from uuid import UUID

from google.protobuf.duration_pb2 import Duration

from job_client.errors import InvalidArgument, invalid

MAX_SHOWN = 60
"""The maximum of characters of a wrong value in an error message."""
INT32 = 2**31
MAX_DURATION = timedelta(seconds=315_576_000_000)
"""Protobuf's limit, about 10,000 years."""
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def text(field: str, value: Any) -> str:
    """A string that can be encoded as UTF-8."""
    if not isinstance(value, str):
        raise wrong_type(field, "a string", value)
    plain = str.__str__(value)
    if not plain.isascii() and any("\ud800" <= character <= "\udfff" for character in plain):
        raise invalid(field, "string.unicode", f"must be valid Unicode, has a lone surrogate: {shown(plain)}")
    return plain


class HasId(Protocol):
    @property
    def id(self) -> str: ...


def id_text(job: UUID | str | HasId, field: str = "id") -> str:
    """The id in the form that servers use: a UUID in lower case. A job or a handle has its id."""
    job_id: Any = job
    try:
        if not isinstance(job, str | UUID) and isinstance(getattr(job, "id", None), str):
            job_id = getattr(job, "id")  # noqa: B009 - any object may have it
        plain = str(job_id).lower()
    except Exception:  # noqa: BLE001 - the object's own code
        raise wrong_type(field, "a UUID", job_id) from None
    if _UUID.fullmatch(plain) is None:
        raise invalid(field, "string.uuid", f"must be a job, a handle or a UUID, is {shown(plain)}")
    return plain


def labels(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise wrong_type("labels", "a mapping of strings to strings", value)
    plain = {}
    for key, item in dict(value).items():
        if not isinstance(key, str):
            raise invalid("labels", "type", f"keys must be strings, one is of type {type_name(key)}")
        name = text("labels", key)
        plain[name] = text(f'labels["{name[:MAX_SHOWN]}"]', item)
    return plain


def whole(field: str, value: Any) -> int:
    """An integer of 32 bits."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise wrong_type(field, "a whole number", value)
    number = int(value)
    if not -INT32 <= number < INT32:
        raise invalid(field, "int32", "must be a number of 32 bits")
    return number


def real(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise wrong_type(field, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise invalid(field, "double", "must be a number of 64 bits") from None


def moment(field: str, value: Any) -> datetime:
    """A time with a time zone, converted to UTC."""
    if not isinstance(value, datetime):
        raise wrong_type(field, "a datetime with a time zone", value)
    if value.utcoffset() is None:
        raise invalid(field, "datetime.time_zone", f"must have a time zone, is {shown(value.isoformat())}")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise invalid(field, "datetime.range", "must be between the years 1 and 9999 in UTC") from None


def duration(field: str, value: Any) -> Duration:
    """A timedelta, or a number of seconds."""
    if isinstance(value, Real) and not isinstance(value, bool):
        number = real(field, value)
        if not abs(number) <= MAX_DURATION.total_seconds():
            raise invalid(field, "duration.range", f"must be at most {MAX_DURATION.days} days")
        value = timedelta(seconds=number)
    if not isinstance(value, timedelta):
        raise wrong_type(field, "a timedelta or a number of seconds", value)
    if not -MAX_DURATION <= value <= MAX_DURATION:
        raise invalid(field, "duration.range", f"must be at most {MAX_DURATION.days} days")
    message = Duration()
    message.FromTimedelta(value)
    return message


def seconds(name: str, value: Any) -> float:
    """A `timeout` in seconds. Raises TypeError or ValueError."""
    try:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if is_number else None
    except OverflowError:
        raise ValueError(f"{name} must be a number of 64 bits") from None
    except Exception:  # noqa: BLE001 - the object's own code
        number = None
    if number is None:
        raise TypeError(f"{name} must be a number of seconds, is of type {type_name(value)}")
    if math.isnan(number):
        raise ValueError(f"{name} must be a number of seconds, is NaN")
    return number


def wrong_type(field: str, wanted: str, value: Any) -> InvalidArgument:
    return invalid(field, "type", f"must be {wanted}, is of type {type_name(value)}")


def unreadable(field: str, fault: Exception) -> InvalidArgument:
    """The caller's object raised an error of its own."""
    return invalid(field, "encode", f"cannot be read: it raised {type_name(fault)}")


def shown(value: str) -> str:
    return repr(value[:MAX_SHOWN]) + ("…" if len(value) > MAX_SHOWN else "")


def type_name(value: Any) -> str:
    """Reads the name from `type` itself, because a metaclass may override `__name__`."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name[:MAX_SHOWN]
