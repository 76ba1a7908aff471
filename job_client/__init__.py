"""An asyncio client of the jobs API.

async with JobClient("127.0.0.1:3000") as client:
    job = await client.create("compute", {"input": "hello"})
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job_client.client import JobClient
    from job_client.create_many import Outcome
    from job_client.errors import (
        ClientClosed,
        DeadlineExceeded,
        InvalidArgument,
        JobClientError,
        JobIdTaken,
        JobNotFound,
        Unavailable,
        Violation,
    )
    from job_client.job import Attempt, Failure, Job, Progress, Status
    from job_client.new_job import NewJob
    from job_client.notify import Notify
    from job_client.retry_policy import RetryPolicy

__all__ = [
    "Attempt",
    "ClientClosed",
    "DeadlineExceeded",
    "Failure",
    "InvalidArgument",
    "Job",
    "JobClient",
    "JobClientError",
    "JobIdTaken",
    "JobNotFound",
    "NewJob",
    "Notify",
    "Outcome",
    "Progress",
    "RetryPolicy",
    "Status",
    "Unavailable",
    "Violation",
]

_MODULES = {
    "client": ("JobClient",),
    "create_many": ("Outcome",),
    "errors": (
        "ClientClosed",
        "DeadlineExceeded",
        "InvalidArgument",
        "JobClientError",
        "JobIdTaken",
        "JobNotFound",
        "Unavailable",
        "Violation",
    ),
    "job": ("Attempt", "Failure", "Job", "Progress", "Status"),
    "new_job": ("NewJob",),
    "notify": ("Notify",),
    "retry_policy": ("RetryPolicy",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is used: API server and worker import `job_client._gen` and no client."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
