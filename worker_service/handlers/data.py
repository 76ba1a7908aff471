"""Job type `data`: a summary of each column of a table.

The payload has exactly one of `records`, a list of objects, and `csv`, text with a header line. Optionally it
has `group_by`, the name of a column.

The result has `rows`, a number, and `columns` by name. Each column has `count` and `missing`. If all its
values are numbers, it also has `min`, `max`, `mean`, `standard_deviation` (of a sample, n - 1; null for a
single value) and `quartiles` (three, with linear interpolation, as numpy and R do by default). true and false
are not numbers. In CSV a number has only digits, with an optional sign, point and exponent.

With `group_by` the result has `rows` and `groups`, by the text of the group's value. Each group has `rows`
and the other `columns`. Rows without that value are summarized in `ungrouped`.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from contract_runtime.json_kind import kind_of
from worker_service.handler_api.errors import InputError
from worker_service.handler_api.handler import handler
from worker_service.handler_api.job import Job
from worker_service.handlers.fields import list_field, one_of, optional_text_field, shown, text_field
from worker_service.handlers.tables import Table, table_of_csv, table_of_records

MAX_SUMMARIES = 10_000
"""The largest number of columns times groups. More would not fit into a result."""


@handler("data", run_in="process")
def data(job: Job) -> dict[str, Any]:
    """Raises InputError."""
    if one_of(job.payload, "records", "csv") == "records":
        table = table_of_records(list_field(job.payload, "records"))
    else:
        table = table_of_csv(text_field(job.payload, "csv"))
    group_by = optional_text_field(job.payload, "group_by")
    if group_by is None:
        return summarize(table, table.columns, table.rows)
    return summarize_groups(table, group_by)


def summarize(table: Table, columns: Iterable[str], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The number of `rows`, and a description of each column. Raises InputError."""
    values: dict[str, list[Any]] = {name: [] for name in columns}
    if len(values) > MAX_SUMMARIES:
        raise InputError(table.source, f"must have at most {MAX_SUMMARIES} columns, has {len(values)}")
    for row in rows:
        for name in row.keys() & values.keys():
            values[name].append(row[name])
    described = {}
    for name, present in values.items():
        described[name] = {"count": len(present), "missing": len(rows) - len(present)}
        numbers = [number for value in present if (number := table.number_in(value)) is not None]
        if numbers and len(numbers) == len(present):
            try:
                described[name] |= describe_numbers(numbers)
            except OverflowError:
                raise InputError(
                    table.source, f"column {shown(name)}: its standard deviation is above the largest number"
                ) from None
    return {"rows": len(rows), "columns": described}


def summarize_groups(table: Table, group_by: str) -> dict[str, Any]:
    """A summary for each value of the column `group_by`. Raises InputError."""
    if group_by not in table.columns:
        raise InputError("group_by", f"must be a column, is {shown(group_by)}")
    groups: dict[str, list[dict[str, Any]]] = {}
    ungrouped = []
    for index, row in enumerate(table.rows):
        if group_by in row:
            groups.setdefault(_group_name(group_by, index, row[group_by]), []).append(row)
        else:
            ungrouped.append(row)
    columns = [name for name in table.columns if name != group_by]
    if len(groups) * len(columns) > MAX_SUMMARIES:
        raise InputError(
            "group_by",
            f"{len(groups)} groups of {len(columns)} columns; "
            f"together at most {MAX_SUMMARIES} can be summarized",
        )
    result: dict[str, Any] = {
        "rows": len(table.rows),
        "groups": {name: summarize(table, columns, rows) for name, rows in groups.items()},
    }
    if ungrouped:
        result["ungrouped"] = summarize(table, columns, ungrouped)
    return result


def describe_numbers(numbers: list[float]) -> dict[str, Any]:
    """Needs at least one number. Raises OverflowError if a double cannot hold the standard deviation."""
    # The statistics module adds exact fractions, so no digits are lost between large and small numbers.
    return {
        "min": min(numbers),
        "max": max(numbers),
        "mean": statistics.mean(numbers),
        "standard_deviation": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "quartiles": quartiles(numbers),
    }


def quartiles(numbers: Iterable[float]) -> list[float]:
    """The three quartiles, with linear interpolation between neighbours."""
    ordered = sorted(numbers)
    result = []
    for quarter in (1, 2, 3):
        below, fourths = divmod(quarter * (len(ordered) - 1), 4)
        low, high = ordered[below], ordered[below + (fourths > 0)]
        # Each is weighted on its own: the difference of two large numbers could overflow.
        result.append(low if low == high else low * (1 - fourths / 4) + high * (fourths / 4))
    return result


def _group_name(group_by: str, index: int, value: Any) -> str:
    name = _group_text(value)
    if name is None or "\0" in name:
        wrong = kind_of(value) if name is None else shown(name)
        raise InputError(
            "group_by",
            f"row {index + 1}: {group_by} must be a string without NUL, a number, true or false, is {wrong}",
        )
    return name


def _group_text(value: Any) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return None
