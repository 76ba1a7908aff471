"""The keyword arguments that several methods of the clients share. A wrong name or value is named."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypedDict
from uuid import UUID

from job_client._gen.jobs.v1 import job_pb2
from job_client.errors import invalid
from job_client.fields import labels, moment, text, wrong_type
from job_client.notify import Notify
from job_client.retry_policy import RetryPolicy


class JobOptions(TypedDict, total=False):
    """What `submit` and `run` take besides type and payload; NewJob describes it."""

    labels: Mapping[str, str]
    id: UUID | str | None
    retry_policy: RetryPolicy | None
    schedule_time: datetime | None
    expire_time: datetime | None
    attempt_timeout: timedelta | float | None
    notify: Notify | None


class JobFilter(TypedDict, total=False):
    """Which jobs. A job must match all conditions.

    It matches a condition with several values if it has one of them, but it must have all `labels` and all
    `label_keys`. A single string counts as one value.
    """

    statuses: Iterable[str]
    types: Iterable[str]
    labels: Mapping[str, str]
    label_keys: Iterable[str]
    error_reasons: Iterable[str]
    worker_ids: Iterable[str]
    create_time_from: datetime
    create_time_before: datetime
    end_time_from: datetime
    end_time_before: datetime


STATUSES = [name for name in job_pb2.Job.Status.keys() if name != "unspecified"]  # noqa: SIM118 - not a dict
_TEXTS = ("types", "label_keys", "error_reasons", "worker_ids")
_TIMES = ("create_time_from", "create_time_before", "end_time_from", "end_time_before")


def known(method: str, given: Mapping[str, Any], options: type[Any]) -> None:
    """Raise TypeError for an argument that the method does not have, with the name that was likely meant."""
    for name in given:
        if name not in options.__annotations__:
            near = get_close_matches(name, options.__annotations__, 1)
            advice = (
                f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(options.__annotations__)}"
            )
            raise TypeError(f"{method}() has no argument {name!r}{advice}")


def fill_filter(message: Any, given: Mapping[str, Any]) -> None:
    """Copy the conditions to a message that has fields of the same names. Raises InvalidArgument."""
    if given.get("statuses") is not None:
        message.statuses.extend(status_numbers(given["statuses"]))
    if given.get("labels") is not None:
        message.labels.extend(label_texts(given["labels"]))
    for name in _TEXTS:
        if given.get(name) is not None:
            getattr(message, name).extend(texts(name, given[name]))
    for name in _TIMES:
        if given.get(name) is not None:
            getattr(message, name).FromDatetime(moment(name, given[name]))


def status_numbers(values: Any) -> list["job_pb2.Job.Status.ValueType"]:
    names = texts("statuses", values)
    for index, name in enumerate(names):
        if name not in STATUSES:
            raise invalid(f"statuses[{index}]", "enum.defined_only", f"must be one of {', '.join(STATUSES)}")
    return [job_pb2.Job.Status.Value(name) for name in names]


def label_texts(values: Any) -> list[str]:
    return [f"{key}={value}" for key, value in labels(values).items()]


def texts(field: str, values: Any) -> list[str]:
    """Several strings, or one."""
    if isinstance(values, str):
        values = [values]
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise wrong_type(field, "a string or several strings", values)
    return [text(f"{field}[{index}]", value) for index, value in enumerate(values)]
