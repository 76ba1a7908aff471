"""What people see of jobs: rows of a table, and one job in full. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from contract_runtime.safe_text import shorten
from job_client.cli.json_form import utc_text
from job_client.cli.output import BOLD, DIM, GREEN, RED, YELLOW, Cell, Styled
from job_client.cli.times import clock_text, duration_text, from_now

if TYPE_CHECKING:
    from job_client.job import Attempt, Failure, Job

JOB_HEADER = ("ID", "TYPE", "STATUS", "AGE", "DETAIL")
ATTEMPT_HEADER = ("ATTEMPT", "STARTED", "TOOK", "OUTCOME", "WORKER", "ERROR")
STYLES = {"completed": GREEN, "failed": RED, "cancelled": DIM, "processing": YELLOW, "queued": ""}
MAX_DETAIL = 120


def job_row(job: "Job", now: datetime) -> Sequence[Cell]:
    """A row of JOB_HEADER."""
    return (
        job.id,
        job.type,
        status_cell(job),
        Styled(duration_text(now - job.create_time), DIM, utc_text(job.create_time)),
        shorten(detail_of(job, now), MAX_DETAIL),
    )


def status_cell(job: "Job") -> Cell:
    return Styled(job.status.value, STYLES.get(job.status.value, ""))


def detail_of(job: "Job", now: datetime) -> str:
    """The most interesting thing about a job in its status."""
    if job.error is not None:
        return error_text(job.error)
    if job.status.value == "processing":
        return progress_text(job)
    if job.status.value == "queued":
        waits_for = max(filter(None, (job.schedule_time, job.next_attempt_time)), default=None)
        return f"starts {from_now(waits_for, now)}" if waits_for is not None and waits_for > now else ""
    if job.end_time is not None and job.start_time is not None:
        return f"took {duration_text(job.end_time - job.start_time)}"
    return ""


def progress_text(job: "Job") -> str:
    if job.progress is None:
        return ""
    return f"{job.progress.percent:g} % {job.progress.message}".strip()


def error_text(error: "Failure") -> str:
    return f"{error.reason}: {error.message}" if error.reason else error.message


def change_line(job: "Job") -> str:
    """One line about the state of a job that is watched."""
    parts = (clock_text(job.update_time), job.status.value, f"attempt {job.attempt}" if job.attempt else "")
    detail = error_text(job.error) if job.error is not None else progress_text(job)
    return "  ".join(filter(None, (*parts, shorten(detail, MAX_DETAIL))))


def job_facts(job: "Job", now: datetime) -> list[Sequence[Cell]]:
    """Name and value of what is set, without payload, result and history."""
    facts: list[tuple[str, Cell]] = [
        ("id", Styled(job.id, BOLD)),
        ("type", job.type),
        ("status", status_cell(job)),
        ("error", error_text(job.error) if job.error else ""),
        ("progress", progress_text(job) if not job.has_ended else ""),
        ("attempt", _attempt_text(job)),
        ("worker", job.worker_id),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(job.labels.items()))),
        ("created", _moment(job.create_time, now)),
        ("starts after", _moment(job.schedule_time, now)),
        ("started", _moment(job.start_time, now)),
        ("next attempt", _moment(job.next_attempt_time, now)),
        ("ended", _moment(job.end_time, now)),
        ("expires", _moment(job.expire_time, now) if not job.has_ended else ""),
        ("timeout", duration_text(job.timeout) if job.timeout else ""),
        ("notifies", job.notify.url if job.notify else ""),
    ]
    return [(Styled(name, DIM), value) for name, value in facts if value]


def attempt_row(attempt: "Attempt") -> Sequence[Cell]:
    """A row of ATTEMPT_HEADER."""
    took = duration_text(attempt.end_time - attempt.start_time) if attempt.end_time else ""
    error = error_text(attempt.error) if attempt.error else ""
    started = clock_text(attempt.start_time)
    return (
        str(attempt.attempt),
        started,
        took,
        attempt.outcome,
        attempt.worker_id,
        shorten(error, MAX_DETAIL),
    )


def _attempt_text(job: "Job") -> str:
    if not job.attempt:
        return ""
    most = job.retry_policy.max_attempts if job.retry_policy else None
    failures = f"{job.failures} of {most} failures" if most else f"{job.failures} failures"
    return f"{job.attempt} ({failures})" if job.failures else str(job.attempt)


def _moment(moment: datetime | None, now: datetime) -> str:
    return "" if moment is None else f"{clock_text(moment)} ({from_now(moment, now)})"
