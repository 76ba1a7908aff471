"""Makes tables of payloads: of records (JSON objects) or of CSV text."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contract_runtime.json_kind import kind_of
from worker_service.handler_api.errors import InputError
from worker_service.handlers.fields import shown

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""A number in CSV. Spaces around it are removed before."""


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are in the order of their first appearance.

    A row has only the values that are not missing.
    """

    source: str
    """The field of the payload that the table comes from."""
    columns: tuple[str, ...]
    rows: Sequence[dict[str, Any]]
    number_in: Callable[[Any], float | None]
    """Converts a value to a number, or to None if it is not a number."""


def table_of_records(records: list[Any]) -> Table:
    """A table of JSON objects. A key that is absent or null counts as missing. Raises InputError."""
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"records[{index}]", f"must be an object, is {kind_of(record)}")
    columns = tuple(dict.fromkeys(key for record in records for key in record))
    rows = [{key: value for key, value in record.items() if value is not None} for record in records]
    return Table("records", columns, rows, _number_in_json)


def table_of_csv(text: str) -> Table:
    """A table of comma-separated text as in RFC 4180, with a header line.

    Blank lines are skipped. Blank fields count as missing. Raises InputError.
    """
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
                    f"line {reader.line_num}: must have {len(header)} fields, as the header, "
                    f"has {len(fields)}",
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
        raise InputError("csv", f"header: column names must differ, {shown(name)} appears {times} times")


def _number_in_json(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number_in_text(value: str) -> float | None:
    # `float` does not remove all the spaces that `strip` does, such as U+001F.
    text = value.strip()
    if NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    return number if math.isfinite(number) else None
