"""Structured logs on standard error: one JSON object a line, or coloured text on a terminal."""

import logging
import sys
from typing import Any

import structlog

from service_runtime.settings import ServiceSettings


def configure_logging(settings: ServiceSettings, process: int | None = None) -> None:
    """Send everything, the libraries' records (warnings and above) too, through one format.

    `process`: the number of this process where the service runs in several; each line has it then.
    """
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if process is not None:
        shared.append(_add_process(process))
    if as_json:
        last: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, _add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_is_ours_to_know)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


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
