"""Exit statuses, and the sentence that each error becomes. Pure."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from job_client.errors import JobClientError
    from job_client.job import Job

DONE = 0
FAILED = 1
"""A job has failed or was cancelled, or the server refused to do it."""
USAGE = 2
UNREACHABLE = 3
TIMED_OUT = 124
"""The time of `--timeout` is over. As `timeout` of the shell."""
INTERRUPTED = 130
"""Ctrl-C. As shells do."""


ADVICE = {
    "JOB_NOT_FOUND": "; `jobctl list` shows the newest jobs",
    "WORKER_NOT_FOUND": "; `jobctl workers` shows the workers",
    "NOT_YOUR_JOB": "",
    "UNAUTHENTICATED": "; set JOBS_TOKEN or JOBS_TOKEN_FILE to a token that the server takes",
    "PERMISSION_DENIED": "; set JOBS_TOKEN or JOBS_TOKEN_FILE to a token that may do this",
    "UNIMPLEMENTED": "; the server may be older than this command, so upgrade the server",
}
"""What to do, by the error's reason or code."""


class Exit(NamedTuple):
    status: int
    sentence: str


def of_job(job: "Job") -> int:
    """The exit status for a job that has ended."""
    return DONE if job.status.value == "completed" else FAILED


def of_error(error: "JobClientError") -> Exit:
    """What to say about an error of the client, and the exit status."""
    code = error.code.name
    if code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
        return Exit(UNREACHABLE, _unreachable(error))
    advice = ADVICE.get(error.reason, ADVICE.get(code, ""))
    return Exit(USAGE if code == "INVALID_ARGUMENT" else FAILED, (error.message or code) + advice)


def _unreachable(error: "JobClientError") -> str:
    if error.reason == "CLIENT_CANNOT_CONNECT":
        return error.message
    job_id = error.metadata.get("id")
    advice = f"; the job may be stored, `jobctl get {job_id}` shows it" if job_id else "; try again later"
    return f"the server did not answer in time: {error.message}{advice}"
