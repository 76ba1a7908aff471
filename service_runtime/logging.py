"""Structured logs on standard error: one JSON object a line, or coloured text on a terminal.

A log call never raises and never waits for whoever reads the log, and a line has a bounded size (log_lines.py, log_values.py).
"""

import atexit
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from service_runtime.log_lines import LogLines
from service_runtime.log_output import STANDARD_ERROR, keep_standard_files_open, standard_error
from service_runtime.log_values import bounded_event, repr_of, text_of
from service_runtime.settings import ServiceSettings
from service_runtime.traces import format_error

MAX_LINE = 64 * 1024
"""Characters of one line."""
SHARES = 1.0, 0.1
"""Of the bounds for values: a line that is too long in the end, such as one full of escapes, is made again with less."""
END_SECONDS = 1.0
"""How long the end of the process waits for a reader to take the last lines."""

_flush: list[Callable[[float], bool]] = []
"""Of the log's lines, last of all; empty until the log is configured."""


@atexit.register
def flush_logs(seconds: float = END_SECONDS) -> None:
    """Wait for the lines that could not be written at once, for so long at most. A process that ends by os._exit needs it."""
    if _flush:
        _flush[-1](seconds)


Render = Callable[[Mapping[str, Any]], str]


def configure_logging(settings: ServiceSettings, process: int | None = None) -> None:
    """Send everything, the libraries' records (warnings and above) too, through one format.

    `process`: the number of this process where the service runs in several; each line has it then.
    """
    # gRPC writes lines of its own, which are not JSON: only for what is wrong, not when a caller gives up a connection. It
    # reads this when it is imported, so that must come later.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    keep_standard_files_open()
    is_terminal = os.isatty(STANDARD_ERROR)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    render = partial(render_line, json.dumps if as_json else _console(colors=is_terminal))
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        stamp,
        structlog.processors.StackInfoRenderer(),
    ]
    if process is not None:
        shared.append(_add_process(process))

    def lost_line(count: int) -> str:
        number = {} if process is None else {"process": process}
        event = {"event": "log_lines_lost", "count": count, "level": "warning", **number}
        return render(stamp(None, "", event))

    lines = LogLines(standard_error(), lost_line)
    _flush.append(lines.flush)
    last: structlog.typing.Processor = lambda _logger, _method, event: render(event)  # noqa: E731 - a name for the type checker
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=_never_raising(structlog.make_filtering_bound_logger(level), lines.count_lost),
        logger_factory=lambda *_names: _LineLogger(lines.write),
        cache_logger_on_first_use=True,
    )
    handler = _LineHandler(lines)
    handler.setFormatter(
        _BoundedFormatter(
            foreign_pre_chain=[*shared, _add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    handler.addFilter(_is_ours_to_know)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(True)


def render_line(render: Render, event: Mapping[str, Any]) -> str:
    """The line for an event, of at most MAX_LINE characters."""
    event = _with_trace(event)
    for share in SHARES:
        line = render(bounded_event(event, share))
        if len(line) <= MAX_LINE:
            return line
    known = {key: event[key] for key in ("event", "level", "timestamp", "logger", "process") if key in event}
    return render(bounded_event({**known, "left_out": "all else, which is too long"}, SHARES[-1]))


def _with_trace(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the text `exception` in place of what `exc_info` says."""
    if "exc_info" not in event:
        return event
    with_trace = dict(event)
    told = with_trace.pop("exc_info")
    if told:
        error = _error_of(told)
        if error is not None:
            with_trace["exception"] = format_error(error)
    return with_trace


def _error_of(told: Any) -> BaseException | None:
    """What a caller's `exc_info` stands for: an exception, the three values of sys.exc_info(), or the one in hand."""
    if isinstance(told, BaseException):
        return told
    if isinstance(told, tuple):
        return told[1] if len(told) == 3 and isinstance(told[1], BaseException) else None
    return sys.exception()


def _console(*, colors: bool) -> Render:
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    return lambda event: renderer(None, "", dict(event))


class _LineLogger:
    """What structlog hands finished lines to: one method for each level."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.msg = write
        self.log = self.debug = self.info = self.warn = self.warning = write
        self.fatal = self.failure = self.err = self.error = self.critical = self.exception = write


class _LineHandler(logging.Handler):
    """For what comes by way of the standard library."""

    def __init__(self, lines: LogLines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.write(self.format(record))
        except Exception:  # noqa: BLE001 - the library that logs must not fail by it
            self._lines.count_lost()


class _BoundedFormatter(structlog.stdlib.ProcessorFormatter):
    """Cuts what goes into a message before it is put together."""

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
        except Exception:  # noqa: BLE001 - arguments that do not fit the message
            record.msg = f"{record.msg} {repr_of(args)}"
        record.args = ()
        return super().format(record)


class _Argument:
    """Stands for one that is no number."""

    def __init__(self, value: Any) -> None:
        self._value = value

    @classmethod
    def of(cls, value: Any) -> Any:
        return value if type(value) in (int, float, bool) else cls(value)

    def __str__(self) -> str:
        return text_of(self._value)

    def __repr__(self) -> str:
        return repr_of(self._value)


def _never_raising(wrapper: type, note_lost: Callable[[], None]) -> type:
    """The class of loggers with its methods for each level made safe, the rendering in them too."""

    def safe(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except Exception:  # noqa: BLE001 - a line is lost; whoever logs goes on
                note_lost()
                return None

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except Exception:  # noqa: BLE001 - a log call never raises
                note_lost()
                return None

        return call_async if inspect.iscoroutinefunction(method) else call

    # Those below the level do nothing already.
    methods = {
        name: safe(method)
        for name, method in vars(wrapper).items()
        if inspect.isfunction(method) and not name.startswith("_") and method.__name__ not in NOTHING
    }
    return type(wrapper.__name__, (wrapper,), methods)


NOTHING = frozenset({"_nop", "_anop", "is_enabled_for", "get_effective_level", "<lambda>"})


def _is_ours_to_know(record: logging.LogRecord) -> bool:
    """Of each header that is not UTF-8 gRPC notes an error with a trace: any caller could fill the log with those."""
    return record.name != "grpc._cython.cygrpc" or not str(record.msg).startswith("Invalid encoding on ")


def _add_process(number: int) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("process", number)
        return event

    return add


def _add_logger_name(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event
