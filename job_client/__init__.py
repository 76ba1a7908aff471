"""A client of the jobs API: JobClient, and AsyncJobClient for asyncio programs.

with JobClient("127.0.0.1:3000") as client:
    print(client.run("compute", {"input": "hello"}))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job_client.async_client import AsyncJobClient
    from job_client.calls import Limits
    from job_client.create_many import Outcome
    from job_client.errors import (
        ClientClosed,
        DeadlineExceeded,
        Interrupted,
        InvalidArgument,
        JobClientError,
        JobFailed,
        JobIdTaken,
        JobNotFound,
        Unavailable,
        Violation,
    )
    from job_client.handles import AsyncJobHandle
    from job_client.job import Attempt, Failure, Job, JobPage, Progress, Status
    from job_client.new_job import NewJob
    from job_client.notify import Notify
    from job_client.options import JobFilter, JobOptions
    from job_client.reports import (
        Activity,
        AssignedPartitions,
        Cause,
        Explanation,
        Filter,
        Fleet,
        FleetChange,
        JobType,
        Latency,
        Log,
        LogEntry,
        MinuteStats,
        Operation,
        Refusal,
        Stats,
        TypeStats,
        Worker,
        WorkerIdentity,
        WorkerReport,
    )
    from job_client.results import ResultMismatch
    from job_client.retry_policy import RetryPolicy
    from job_client.sync_client import JobClient
    from job_client.sync_handle import JobHandle

__all__ = [
    "Activity",
    "AssignedPartitions",
    "AsyncJobClient",
    "AsyncJobHandle",
    "Attempt",
    "Cause",
    "ClientClosed",
    "DeadlineExceeded",
    "Explanation",
    "Failure",
    "Filter",
    "Fleet",
    "FleetChange",
    "Interrupted",
    "InvalidArgument",
    "Job",
    "JobClient",
    "JobClientError",
    "JobFailed",
    "JobFilter",
    "JobHandle",
    "JobIdTaken",
    "JobNotFound",
    "JobOptions",
    "JobPage",
    "JobType",
    "Latency",
    "Limits",
    "Log",
    "LogEntry",
    "MinuteStats",
    "NewJob",
    "Notify",
    "Operation",
    "Outcome",
    "Progress",
    "Refusal",
    "ResultMismatch",
    "RetryPolicy",
    "Stats",
    "Status",
    "TypeStats",
    "Unavailable",
    "Violation",
    "Worker",
    "WorkerIdentity",
    "WorkerReport",
]

_MODULES = {
    "async_client": ("AsyncJobClient",),
    "calls": ("Limits",),
    "create_many": ("Outcome",),
    "errors": (
        "ClientClosed",
        "DeadlineExceeded",
        "Interrupted",
        "InvalidArgument",
        "JobClientError",
        "JobFailed",
        "JobIdTaken",
        "JobNotFound",
        "Unavailable",
        "Violation",
    ),
    "handles": ("AsyncJobHandle",),
    "job": ("Attempt", "Failure", "Job", "JobPage", "Progress", "Status"),
    "new_job": ("NewJob",),
    "notify": ("Notify",),
    "options": ("JobFilter", "JobOptions"),
    "results": ("ResultMismatch",),
    "reports": (
        "Activity",
        "AssignedPartitions",
        "Cause",
        "Explanation",
        "Filter",
        "Fleet",
        "FleetChange",
        "JobType",
        "Latency",
        "Log",
        "LogEntry",
        "MinuteStats",
        "Operation",
        "Refusal",
        "Stats",
        "TypeStats",
        "Worker",
        "WorkerIdentity",
        "WorkerReport",
    ),
    "retry_policy": ("RetryPolicy",),
    "sync_client": ("JobClient",),
    "sync_handle": ("JobHandle",),
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
