"""Sends what a handler logs to its job, besides to the log of the worker."""

import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from service_runtime.log_values import MAX_TRACE, cut, repr_of, text_of
from service_runtime.logging import configure_logging, error_of, show_in_every_line
from service_runtime.settings import ServiceSettings
from service_runtime.traces import format_error
from worker_service.execution.line_buffer import JobLine, Kind, current_line_sink
from worker_service.execution.prints import log_prints

MAX_MESSAGE = 4_000
"""Characters of a line; the contract's limit."""
MAX_NAME = 200
MAX_LEVEL = 20
MAX_FIELDS = 20
MAX_FIELD = 500
"""Characters of the value of one field."""
NOT_SHOWN = frozenset(
    {
        # What each entry has itself.
        *("event", "level", "timestamp", "logger", "job_id", "type", "attempt", "worker_id", "process"),
        # A trace is an entry of its own.
        *("exc_info", "exception"),
        # structlog's own.
        *("_record", "_from_structlog"),
    }
)


class HandlerLog:
    """A LogObserver: in the context of a handler, each event becomes a line of its job."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def is_interested(self) -> bool:
        return current_line_sink() is not None

    def observe(self, event: Mapping[str, Any]) -> None:
        sink = current_line_sink()
        # A process that a handler has forked cannot send anything, and a lock may be held in it for ever.
        if sink is None or os.getpid() != self._pid:
            return
        for line in lines_of(event, time.time()):
            sink.add(line)


def prepare_log(settings: ServiceSettings, process: int | None, worker_id: str) -> None:
    """Set up the log of a job process. `process`: the number of its worker, if there are several."""
    configure_logging(settings, process, HandlerLog())
    show_in_every_line(worker_id=worker_id)
    log_prints()


def lines_of(event: Mapping[str, Any], now: float) -> Iterator[JobLine]:
    """A line, and a trace if the event has an error. `now`: seconds since 1970."""
    level = valid(event.get("level", ""), MAX_LEVEL)
    logger = valid(event.get("logger", ""), MAX_NAME)
    others = islice((each for each in event.items() if each[0] not in NOT_SHOWN), MAX_FIELDS)
    fields = [f"{text_of(name, MAX_NAME)}={_value(value)}" for name, value in others]
    message = " ".join([text_of(event.get("event", ""), MAX_MESSAGE), *fields])
    yield JobLine(now, Kind.LINE, level, logger, valid(message, MAX_MESSAGE))
    if trace := _trace_of(event):
        yield JobLine(now, Kind.TRACE, level, logger, valid(trace, MAX_TRACE))


def trace_line(trace: str) -> JobLine:
    """The trace of the error with which an attempt has failed."""
    return JobLine(time.time(), Kind.TRACE, "error", "", valid(trace, MAX_TRACE))


def valid(text: Any, limit: int) -> str:
    """The text of at most `limit` characters, without lone surrogates, which protobuf refuses."""
    short = text_of(text, limit)
    return short if short.isascii() else cut(short.encode(errors="backslashreplace").decode(), limit)


def _value(value: Any) -> str:
    if type(value) is str and value and not any(map(str.isspace, value[:MAX_FIELD])):
        return cut(value, MAX_FIELD)
    # With quotation marks, so that one sees where it ends.
    return cut(repr(cut(value, MAX_FIELD)), MAX_FIELD) if type(value) is str else repr_of(value, MAX_FIELD)


def _trace_of(event: Mapping[str, Any]) -> str:
    if exc_info := event.get("exc_info"):
        error = error_of(exc_info)
        return "" if error is None else format_error(error)
    return text_of(event.get("exception", ""), MAX_TRACE)
