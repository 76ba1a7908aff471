"""`jobctl cancel` and `jobctl retry`: some jobs by their ids, or all that match conditions."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from job_client.cli import options
from job_client.cli.bulk import change_many
from job_client.cli.exits import DONE, of_error
from job_client.cli.output import Format, Output
from job_client.cli.session import connected

if TYPE_CHECKING:
    from job_client.job import Job
    from job_client.options import JobFilter

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="The ids of jobs.", show_default=False)]


def cancel(
    ids: Ids = None,
    status: options.Statuses = None,
    job_type: options.Types = None,
    label: options.Labels = None,
    worker: options.Workers = None,
    created_after: options.CreatedAfter = None,
    created_before: options.CreatedBefore = None,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Kept with the jobs.")] = "",
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    output: options.OutputOption = Format.table,
) -> None:
    """Cancel jobs that have not ended.

    With conditions instead of ids, it says how many jobs match, and asks.
    """
    out = Output(output)
    found = options.conditions(status, job_type, label, None, worker, created=(created_after, created_before))
    _check_target(ids, found, dry_run)
    with connected() as client:
        if ids:
            raise typer.Exit(_change_each(ids, partial(client.cancel, reason=because), "cancelled", out))
        start = partial(client.bulk_cancel, reason=because, **found)
        raise typer.Exit(change_many(client, out, start, ("cancel", "cancelled"), yes=yes, dry_run=dry_run))


def retry(
    ids: Ids = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed jobs; as --status failed.")] = False,
    status: options.Statuses = None,
    job_type: options.Types = None,
    label: options.Labels = None,
    reason: options.Reasons = None,
    worker: options.Workers = None,
    ended_after: options.EndedAfter = None,
    ended_before: options.EndedBefore = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    output: options.OutputOption = Format.table,
) -> None:
    """Queue failed or cancelled jobs again.

    With conditions instead of ids, it says how many jobs match, and asks.
    """
    out = Output(output)
    statuses = [*(status or []), *(["failed"] if failed and "failed" not in (status or []) else [])]
    found = options.conditions(statuses, job_type, label, reason, worker, ended=(ended_after, ended_before))
    _check_target(ids, found, dry_run)
    with connected() as client:
        if ids:
            raise typer.Exit(_change_each(ids, client.retry, "queued again", out))
        start = partial(client.bulk_retry, **found)
        raise typer.Exit(change_many(client, out, start, ("retry", "queued again"), yes=yes, dry_run=dry_run))


def _check_target(ids: list[str] | None, found: "JobFilter", dry_run: bool) -> None:
    if ids and found:
        raise typer.BadParameter("give ids or conditions, not both", param_hint="ID")
    if ids and dry_run:
        raise typer.BadParameter("is for conditions only", param_hint="--dry-run")
    if not ids and not found:
        raise typer.BadParameter("give ids, or conditions such as --type compute", param_hint="ID")


def _change_each(ids: list[str], change: "Callable[[str], Job]", done: str, out: Output) -> int:
    """One that is refused does not stop the others. The exit status is that of the first refusal."""
    from job_client.errors import JobClientError  # noqa: PLC0415 - `--help` needs no client

    status = DONE
    for job_id in ids:
        try:
            job = change(job_id)
        except JobClientError as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failure, sentence = of_error(error)
            out.say(f"{job_id}: {sentence}")
            status = status or failure
            continue
        if out.is_for_people:
            out.done(f"{job.id} {done}")
        else:
            out.value(job)
    return status
