"""Keeps what handlers log in a test, without a change of how the test itself logs."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from worker_service.execution.handler_log import lines_of
from worker_service.execution.line_buffer import current_line_sink

LEVEL = logging.INFO
"""Lines below it are dropped, as in a worker with the default settings."""


class _SinkHandler(logging.Handler):
    """Sends records of the standard library to the handler's job."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _add(
                {
                    "event": record.getMessage(),
                    "level": record.levelname.lower(),
                    "logger": record.name,
                    "exc_info": record.exc_info,
                }
            )
        except Exception:  # noqa: BLE001 - logging's own way to treat a record that cannot be formatted
            self.handleError(record)


def _add(event: Mapping[str, Any]) -> None:
    sink = current_line_sink()
    if sink is not None:
        for line in lines_of(event, time.time()):
            sink.add(line)


def _observe(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog."""
    if logging.getLevelNamesMapping().get(method.upper(), logging.ERROR) >= LEVEL:
        _add({**event, "level": method})
    return event


_lock = threading.Lock()
_handler = _SinkHandler()
_running = 0


@contextmanager
def lines_recorded() -> Iterator[None]:
    """Inside, what a handler logs goes to its job. Several threads may be inside at a time."""
    global _running  # noqa: PLW0603 - logging and structlog belong to the process, too
    with _lock:
        _running += 1
        if _running == 1:
            _begin()
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                _restore.pop()()


def record_lines() -> None:
    """The same for good: for a process that runs handlers only."""
    _begin()


_restore: list[Any] = []


def _begin() -> None:
    root, config = logging.getLogger(), structlog.get_config()
    level, is_configured = root.level, structlog.is_configured()
    root.addHandler(_handler)
    root.setLevel(min(level, LEVEL) or LEVEL)
    structlog.configure(processors=[_observe, *config["processors"]])

    def restore() -> None:
        root.removeHandler(_handler)
        root.setLevel(level)
        if is_configured:
            structlog.configure(**config)
        else:
            structlog.reset_defaults()

    _restore.append(restore)
