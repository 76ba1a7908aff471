"""Objects that no argument of the client expects, some of them hostile."""

from collections import UserDict, UserString
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from job_client import NewJob, RetryPolicy

ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"


def fail(*_arguments: Any, **_options: Any) -> Any:
    raise KeyError("raised by the object's own code")


class Hostile:
    """Raises for every operation, even when its class is asked for."""

    __str__ = __repr__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __int__ = __float__ = fail
    __getattr__ = __index__ = __format__ = __contains__ = __getitem__ = fail
    __class__ = property(fail)


def hostile(base: type, *arguments: Any) -> Any:
    """An instance of a subclass of `base` whose methods all raise."""
    methods = [
        "__str__", "__repr__", "__eq__", "__ne__", "__hash__", "__bool__", "__len__", "__iter__", "__int__",
        "__float__", "__abs__", "__format__", "__lt__", "__gt__", "__contains__", "__getitem__", "__sub__",
        "__rsub__", "keys", "items", "lower", "isoformat", "utcoffset", "astimezone", "isascii", "tzinfo",
        "total_seconds", "is_integer",
    ]  # fmt: skip
    own = {name: fail for name in methods if hasattr(base, name)}
    return type(f"Hostile{base.__name__}", (base,), own)(*arguments)


class NoOffset(tzinfo):
    def tzname(self, _time: datetime | None) -> None:
        return None

    dst = tzname

    def utcoffset(self, _time: datetime | None) -> timedelta | None:
        return None


class WrongOffset(NoOffset):
    def utcoffset(self, _time: datetime | None) -> timedelta | None:
        return fail()  # type: ignore[no-any-return]


def cyclic_dict() -> dict[str, Any]:
    values: dict[str, Any] = {}
    values["self"] = values
    return values


def cyclic_list() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


ODD: list[Callable[[], Any]] = [
    Hostile,
    lambda: hostile(str, "compute"),
    lambda: hostile(str, ID),
    lambda: hostile(dict, {"a": 1}),
    lambda: hostile(list, [1]),
    lambda: hostile(int, 3),
    lambda: hostile(float, 1.5),
    lambda: hostile(timedelta, 1),
    lambda: hostile(datetime, 2026, 1, 1),
    lambda: hostile(UUID, ID),
    cyclic_dict,
    cyclic_list,
    lambda: {"a": cyclic_list(), Hostile: Hostile()},
    lambda: {(1, 2): 3},
    lambda: {"\ud800": "\udfff"},
    lambda: UserDict({"a": 1}),
    lambda: UserString("compute"),
    lambda: datetime(2026, 1, 1),  # noqa: DTZ001 - the missing time zone is the fault
    lambda: datetime(2026, 1, 1, tzinfo=NoOffset()),
    lambda: datetime(2026, 1, 1, tzinfo=WrongOffset()),
    lambda: datetime(2026, 1, 1, tzinfo=UTC),
    lambda: datetime.max.replace(tzinfo=UTC),
    lambda: date(2026, 1, 1),
    lambda: timedelta.max,
    lambda: timedelta.min,
    lambda: timedelta(seconds=1),
    lambda: 10**5000,
    lambda: -(10**400),
    lambda: Decimal(1),
    lambda: Fraction(1, 3),
    lambda: 1j,
    lambda: object,
    lambda: NewJob,
    lambda: NewJob("x"),
    RetryPolicy,
    lambda: RetryPolicy(max_attempts=Hostile()),  # type: ignore[arg-type]
    lambda: RetryPolicy(max_attempts=True, initial_backoff=5, multiplier="x"),  # type: ignore[arg-type]
    lambda: (each for each in "ab"),
    lambda: memoryview(b"x"),
    uuid7,
    lambda: ID,
    lambda: "compute",
]
