"""Structured logs on standard error: one JSON object per line, or coloured text on a terminal.

A log call never raises and never waits for the reader of the log. A line has a limited size (log_lines.py,
log_values.py).
"""

import atexit
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import structlog

from contract_runtime.safe_text import safe_block, safe_line
from service_runtime.log_lines import LogLines
from service_runtime.log_output import STANDARD_ERROR, keep_standard_files_open, standard_error
from service_runtime.log_values import TRACES, bounded_event, repr_of, text_of
from service_runtime.never_raising import never_raising
from service_runtime.settings import ServiceSettings
from service_runtime.traces import format_error

MAX_LINE = 64 * 1024
"""Maximum characters of one line."""
SHARES = 1.0, 0.1
"""A line is rendered with the full limits for values first. If it is too long, for example because it is full
of escapes, it is rendered again with a tenth of them.
"""
END_SECONDS = 1.0
"""How long a process that ends waits until its last lines are written."""

_flush: list[Callable[[float], bool]] = []
"""LogLines.flush of each configured log. The last one counts."""


@atexit.register
def flush_logs(seconds: float = END_SECONDS) -> None:
    """Wait up to `seconds` until the buffered lines are written. Needed before os._exit."""
    if _flush:
        _flush[-1](seconds)


_line_fields: dict[str, Any] = {}
"""Fields that every line of this process shows."""


def show_in_every_line(**fields: Any) -> None:
    """Show these fields in every line of this process from now on, whatever thread writes it."""
    _line_fields.update(fields)


class LogObserver(Protocol):
    """Is shown each event of the log before it becomes a line."""

    def is_interested(self) -> bool:
        """Whether libraries shall log here and now from the service's level on. Elsewhere they log only
        warnings and errors.
        """

    def observe(self, event: Mapping[str, Any]) -> None:
        """An event. `exc_info`, if there is one, has not been formatted yet."""


Render = Callable[[Mapping[str, Any]], str]
Processors = Sequence[structlog.typing.Processor]


def configure_logging(
    settings: ServiceSettings, process: int | None = None, observer: LogObserver | None = None
) -> None:
    """Send the service's log and the libraries' warnings and errors to standard error, in one format.

    `process`: the number of this process if the service runs in several. Each line shows it.
    """
    # gRPC writes lines of its own that are not JSON: only errors, and none for a caller that closes its
    # connection. gRPC reads this variable when it is imported, so the import must come later.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    keep_standard_files_open()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    render = _renderer(settings)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    number = {} if process is None else {"process": process}

    def lost_line(count: int) -> str:
        event = {"event": "log_lines_lost", "count": count, "level": "warning", **number}
        return render(stamp(None, "", event))

    lines = LogLines(standard_error(), lost_line)
    _flush.append(lines.flush)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_line_fields,
        structlog.processors.add_log_level,
        stamp,
        structlog.processors.StackInfoRenderer(),
    ]
    if process is not None:
        shared.append(_add_process(process))
    if observer is not None:
        render = partial(_observe_and_render, observer, render)
    _configure_structlog(lines, shared, render, level)
    _configure_standard_library(lines, shared, render, level)
    if observer is not None:
        _let_libraries_log(observer, level)


def _renderer(settings: ServiceSettings) -> Render:
    """Makes the text of one line."""
    is_terminal = os.isatty(STANDARD_ERROR)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal)
    return partial(render_line, json.dumps if as_json else _console(colors=is_terminal))


def _configure_structlog(lines: LogLines, shared: Processors, render: Render, level: int) -> None:
    structlog.configure(
        processors=[*shared, _render_last(render)],
        wrapper_class=never_raising(structlog.make_filtering_bound_logger(level), lines.count_lost),
        logger_factory=lambda *_names: _LineLogger(lines.write),
        cache_logger_on_first_use=True,
    )


def _configure_standard_library(lines: LogLines, shared: Processors, render: Render, level: int) -> None:
    handler = _LineHandler(lines)
    handler.setFormatter(
        _BoundedFormatter(
            foreign_pre_chain=[*shared, _add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render_last(render)],
        )
    )
    handler.addFilter(_is_relevant)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(True)


def _let_libraries_log(observer: LogObserver, level: int) -> None:
    """Let libraries log from `level` on where the observer is interested."""
    root = logging.getLogger()
    root.setLevel(level)
    for handler in root.handlers:
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or observer.is_interested())


def _observe_and_render(observer: LogObserver, render: Render, event: Mapping[str, Any]) -> str:
    with suppress(Exception):  # the line is written in any case
        observer.observe(event)
    return render(event)


def _render_last(render: Render) -> structlog.typing.Processor:
    return lambda _logger, _method, event: render(event)


def render_line(render: Render, event: Mapping[str, Any]) -> str:
    """The line for an event, with at most MAX_LINE characters."""
    event = _with_trace(event)
    for share in SHARES:
        line = render(bounded_event(event, share))
        if len(line) <= MAX_LINE:
            return line
    known = {key: event[key] for key in ("event", "level", "timestamp", "logger", "process") if key in event}
    return render(bounded_event({**known, "left_out": "all else, which is too long"}, SHARES[-1]))


def _with_trace(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event with the traceback as the text `exception` instead of `exc_info`."""
    if "exc_info" not in event:
        return event
    with_trace = dict(event)
    exc_info = with_trace.pop("exc_info")
    if exc_info:
        error = error_of(exc_info)
        if error is not None:
            with_trace["exception"] = format_error(error)
    return with_trace


def error_of(exc_info: Any) -> BaseException | None:
    """The exception in `exc_info`: itself, one of sys.exc_info()'s values, or the current one."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) == 3 and isinstance(exc_info[1], BaseException) else None
    return sys.exception()


def _console(*, colors: bool) -> Render:
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    return lambda event: renderer(None, "", _harmless(event))


def _harmless(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event without characters that a terminal obeys. JSON escapes them anyway, and so does `repr`, which
    shows the values inside of lists and objects.
    """
    shown = {}
    for key, value in event.items():
        is_text = type(value) is str
        shown[safe_line(key)] = (safe_block if key in TRACES else safe_line)(value) if is_text else value
    return shown


class _LineLogger:
    """Gets rendered lines from structlog: one method for each level."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.msg = write
        self.log = self.debug = self.info = self.warn = self.warning = write
        self.fatal = self.failure = self.err = self.error = self.critical = self.exception = write


class _LineHandler(logging.Handler):
    """Gets the records of the standard library's logging."""

    def __init__(self, lines: LogLines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.write(self.format(record))
        except Exception:  # noqa: BLE001 - the library that logs must not fail
            self._lines.count_lost()


class _BoundedFormatter(structlog.stdlib.ProcessorFormatter):
    """Limits the size of a message's arguments before they are formatted."""

    def format(self, record: logging.LogRecord) -> str:
        record = logging.makeLogRecord(record.__dict__)
        message, args = record.msg, record.args
        record.msg = text_of(message)
        if isinstance(args, Mapping):
            record.args = {key: _Argument.of(value) for key, value in args.items()}
        elif args:
            record.args = tuple(map(_Argument.of, args))
        try:
            record.msg = record.getMessage()
        except Exception:  # noqa: BLE001 - the arguments do not fit the message
            record.msg = f"{record.msg} {repr_of(args)}"
        record.args = ()
        return super().format(record)


class _Argument:
    """Wraps an argument that is not a number, so that its text is limited."""

    def __init__(self, value: Any) -> None:
        self._value = value

    @classmethod
    def of(cls, value: Any) -> Any:
        return value if type(value) in (int, float, bool) else cls(value)

    def __str__(self) -> str:
        return text_of(self._value)

    def __repr__(self) -> str:
        return repr_of(self._value)


def _is_relevant(record: logging.LogRecord) -> bool:
    """False for gRPC's error about a header that is not UTF-8: any caller could fill the log with it."""
    return record.name != "grpc._cython.cygrpc" or not str(record.msg).startswith("Invalid encoding on ")


def _add_process(number: int) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("process", number)
        return event

    return add


def _add_line_fields(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for name, value in _line_fields.items():
        event.setdefault(name, value)
    return event


def _add_logger_name(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event
