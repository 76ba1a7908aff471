"""Shows how a job ended that was waited for."""

from collections import Counter
from typing import TYPE_CHECKING

from job_client.cli.job_views import error_text
from job_client.cli.output import Output

if TYPE_CHECKING:
    from job_client.job import Job


def show_end(job: "Job", output: Output) -> None:
    """People see the result; programs see the whole job. Why it failed goes to standard error."""
    if not output.is_for_people:
        output.value(job)
    elif job.result is not None:
        output.value(job.result)
    if job.status.value != "completed":
        why = f": {error_text(job.error)}" if job.error is not None else ""
        word = "failed" if job.status.value == "failed" else "was cancelled"
        output.say(f"Job {job.id} {word}{why}. More: jobctl get {job.id}, jobctl log {job.id}")


def reasons_text(reasons: Counter[str]) -> str:
    """`70 INVALID_INPUT, 5 TIMEOUT`."""
    return ", ".join(f"{number} {reason or 'without a reason'}" for reason, number in reasons.most_common())
