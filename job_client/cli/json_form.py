"""The client's values as JSON data, with the names and forms of the REST API. Pure.

`create_time` is `createTime`, a time is "2026-05-01T12:00:00.000Z", a duration "1.5s". A value that is not
set is left out.
"""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """A value of the client as JSON data. Mappings are JSON of the user already and stay as they are."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {camel_case(name): plain(item) for name, item in fields if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, Mapping):
        return dict(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
