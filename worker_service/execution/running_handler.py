"""What the worker knows of a handler whose code runs on the handlers' event loop."""

from typing import Any, Protocol

from worker_service.execution.invoke import InvocationResult


class JobIdentity(Protocol):
    """What names an attempt at a job."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def attempt(self) -> int: ...


class RunningHandler(Protocol):
    """A handler on the loop."""

    @property
    def job(self) -> JobIdentity: ...

    def exit(self, error: BaseException) -> None:
        """A task or callback of it raised SystemExit or KeyboardInterrupt. Called in the handlers' thread."""

    def fail(self, result: InvocationResult) -> bool:
        """End its job with this failure, whatever the handler still does. Called in the worker's loop.

        False if the job had ended before.
        """


def log_fields(job: JobIdentity) -> dict[str, Any]:
    """The fields that name a job in a log line."""
    return {"job_id": job.id, "type": job.type, "attempt": job.attempt}
