"""The built-in handlers, one module for each job type."""

from pathlib import Path

from worker_service.handler_api.handler import HandlerSpec, handlers_in
from worker_service.handlers import blockchain, compute, data
from worker_service.handlers.file import file_handler


def built_in_handlers(file_root: Path) -> tuple[HandlerSpec, ...]:
    """The built-in handlers; `file_root` is the folder that file jobs may read."""
    declared = (*handlers_in(compute), *handlers_in(blockchain), *handlers_in(data))
    return (*declared, file_handler(file_root))
