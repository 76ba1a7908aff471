"""Tables out of payloads: from records (JSON objects) or from CSV text."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from worker_service.handler_api.job import InputError
from worker_service.handlers.fields import kind_of, shown

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""A number in CSV; spaces around it do not matter."""


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` in the order in which they were first seen. A row holds only what is not missing."""

    source: str
    """The field of the payload that it came from."""
    columns: tuple[str, ...]
    rows: Sequence[dict[str, Any]]
    number_in: Callable[[Any], float | None]
    """The number that a value is, or None."""


def table_of_records(records: list[Any]) -> Table:
    """A key that is absent or null is missing. Raises InputError."""
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"records[{index}]", f"must be an object, is {kind_of(record)}")
    columns = tuple(dict.fromkeys(key for record in records for key in record))
    rows = [{key: value for key, value in record.items() if value is not None} for record in records]
    return Table("records", columns, rows, _number_in_json)


def table_of_csv(text: str) -> Table:
    """Comma-separated, as in RFC 4180, with a header. Blank lines are passed over, blank fields missing. Raises InputError."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    header: list[str] = []
    try:
        for fields in reader:
            if not fields:
                continue
            if not header:
                _check_header(fields)
                header = fields
            elif len(fields) != len(header):
                raise InputError(
                    "csv",
                    f"line {reader.line_num}: must have {len(header)} fields as the header, has {len(fields)}",
                )
            else:
                rows.append(
                    {name: field for name, field in zip(header, fields, strict=True) if field.strip()}
                )
    except csv.Error as error:
        raise InputError("csv", f"line {reader.line_num}: {error}") from None
    if not header:
        raise InputError("csv", "must have a header line")
    return Table("csv", tuple(header), rows, _number_in_text)


def _check_header(names: list[str]) -> None:
    for position, name in enumerate(names, 1):
        if not name.strip() or "\0" in name:
            raise InputError(
                "csv", f"header: column {position} must have a name without NUL, has {shown(name)}"
            )
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError("csv", f"header: column names must differ, {shown(name)} stands there {times} times")


def _number_in_json(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number_in_text(value: str) -> float | None:
    if NUMBER.fullmatch(value.strip()) is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
