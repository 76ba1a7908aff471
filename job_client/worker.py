"""What a module with handlers, and its tests, import: `from job_client.worker import handler`.

It needs the packages of a worker, but no server and no settings.
"""

from typing import TYPE_CHECKING, Any

from worker_service import InputError, Job, PermanentError, RetryAfter, handler, progress

if TYPE_CHECKING:
    from worker_service.testing.run_handler import HandlerRun, run_handler

__all__ = [
    "HandlerRun",
    "InputError",
    "Job",
    "PermanentError",
    "RetryAfter",
    "handler",
    "progress",
    "run_handler",
]


def __getattr__(name: str) -> Any:
    """Import what only tests need when they need it: each process that runs handlers imports this module."""
    if name not in ("HandlerRun", "run_handler"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from worker_service.testing import run_handler as testing  # noqa: PLC0415 - see above

    return getattr(testing, name)
