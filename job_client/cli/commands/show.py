"""`jobctl get`, `list`, `watch`, `log` and `why`: they change nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from job_client.cli import options
from job_client.cli.ending import show_end
from job_client.cli.exits import DONE, INTERRUPTED, of_job
from job_client.cli.fleet_views import count_text, log_cells
from job_client.cli.following import follow, leaving_running
from job_client.cli.job_views import (
    ATTEMPT_HEADER,
    JOB_HEADER,
    attempt_row,
    change_line,
    detail_of,
    job_facts,
    job_row,
    status_cell,
)
from job_client.cli.output import DIM, Format, Output, Styled
from job_client.cli.session import connected
from job_client.cli.times import clock_text, from_now

if TYPE_CHECKING:
    from job_client.job import Job
    from job_client.options import JobFilter
    from job_client.reports import Explanation, LogEntry

WATCHED = frozenset({"statuses", "types", "labels"})
"""The conditions that a watch can have."""
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most this many.")]
OldestFirst = Annotated[bool, typer.Option("--oldest-first", help="Instead of the newest first.")]
Watch = Annotated[bool, typer.Option("--watch", help="Go on: a line for each change, until Ctrl-C.")]
FollowLog = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with new entries, until the job has ended or Ctrl-C.")
]
WatchTimeout = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="With --watch: end after this time.")
]


def get(job_id: options.JobId, output: options.OutputOption = Format.table) -> None:
    """Show a job: its status, payload, result and attempts."""
    out = Output(output)
    with connected() as client:
        job = client.get(job_id)
    if not out.is_for_people:
        out.value(job)
        return
    out.table((), job_facts(job, datetime.now(UTC)))
    for name, value in (("payload", job.payload), ("result", job.result)):
        if value is not None:
            out.line(Styled(name, DIM))
            out.value(value)
    if job.history:
        out.line(Styled("attempts", DIM))
        out.table(ATTEMPT_HEADER, map(attempt_row, job.history))


def list_jobs(
    status: options.Statuses = None,
    job_type: options.Types = None,
    label: options.Labels = None,
    reason: options.Reasons = None,
    worker: options.Workers = None,
    created_after: options.CreatedAfter = None,
    created_before: options.CreatedBefore = None,
    ended_after: options.EndedAfter = None,
    ended_before: options.EndedBefore = None,
    limit: Limit = 30,
    oldest_first: OldestFirst = False,
    watch: Watch = False,
    timeout: WatchTimeout = None,
    output: options.OutputOption = Format.table,
) -> None:
    """List jobs that match all conditions, the newest first."""
    out = Output(output)
    created, ended = (created_after, created_before), (ended_after, ended_before)
    found = options.conditions(status, job_type, label, reason, worker, created=created, ended=ended)
    if watch:
        _watch_list(found, out, options.seconds("--timeout", timeout))
        return
    now = datetime.now(UTC)
    with connected() as client:
        jobs = client.list(limit=limit, oldest_first=oldest_first, basic=out.is_for_people, **found)
        count = out.values(JOB_HEADER, jobs, lambda job: job_row(job, now))
    if not count:
        out.note("No job matches")
    elif count == limit:
        out.note(f"The first {count} jobs; --limit shows more")


def _watch_list(found: "JobFilter", out: Output, timeout: float | None) -> None:
    if other := sorted(set(found) - WATCHED):
        raise typer.BadParameter(
            f"can be combined with --status, --type and --label only, not with {other[0]}",
            param_hint="--watch",
        )
    with connected() as client:
        try:
            for job in client.watch(**found, timeout=timeout):  # type: ignore[misc]  # - checked above
                if out.is_for_people:
                    out.line(*_change_cells(job))
                else:
                    out.value(job)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _change_cells(job: "Job") -> Iterator[str | Styled]:
    now = datetime.now(UTC)
    yield Styled(f"{clock_text(job.update_time)}  ", DIM)
    yield f"{job.id}  {job.type:<16} "
    yield status_cell(job)
    yield f"{' ' * max(0, 11 - len(job.status.value))} {detail_of(job, now)}"


def watch(
    job_id: options.JobId,
    timeout: options.Timeout = None,
    output: options.OutputOption = Format.table,
) -> None:
    """Follow a job until its end, and show its result.

    The exit status is 0 if it completes and 1 if it fails. Ctrl-C leaves the job running.
    """
    out = Output(output)

    def show_state(job: "Job") -> None:
        if not out.is_for_people:
            out.value(job)
        elif not out.has_bars:
            out.say(change_line(job))

    with connected() as client:
        job = follow(client, job_id, out, timeout=options.seconds("--timeout", timeout), on_state=show_state)
    if out.is_for_people:
        show_end(job, out)
    raise typer.Exit(of_job(job))


def log(
    job_id: options.JobId,
    after: Annotated[
        int, typer.Option("--after", metavar="NUMBER", min=0, help="Only entries with a higher number.")
    ] = 0,
    is_followed: FollowLog = False,
    output: options.OutputOption = Format.table,
) -> None:
    """Show what the handler of a job logged and printed, and the traces of its errors."""
    out = Output(output)
    if is_followed:
        _follow_log(job_id, after, out)
        return
    with connected() as client:
        found = client.log(job_id, after_number=after)
    if not out.is_for_people:
        out.values((), found.entries, lambda _entry: ())
        return
    if found.dropped:
        out.note(f"{found.dropped} entries before these are not kept")
    if not found.entries:
        out.note("The log is empty")
    for entry in found.entries:
        _show_entry(entry, out)


def _follow_log(job_id: str, after: int, out: Output) -> None:
    last = after
    with connected() as client, leaving_running(out, job_id):
        for entry in client.follow_log(job_id, after_number=after):
            if not out.is_for_people:
                out.value(entry)
                continue
            if missing := entry.number - last - 1:
                out.note(f"{missing} entries before this one are not kept")
            last = entry.number
            _show_entry(entry, out)


def _show_entry(entry: "LogEntry", out: Output) -> None:
    # The lines of a text stand behind the first, so that a job cannot make up entries.
    first, *others = entry.message.splitlines() or [""]
    out.line(*log_cells(entry), first)
    for line in others:
        out.line("    ", line)


def why(job_id: options.JobId, output: options.OutputOption = Format.table) -> None:
    """Tell why a job does not run now, and what happens next."""
    out = Output(output)
    with connected() as client:
        explanation = client.explain(job_id)
    if out.is_for_people:
        _show_explanation(explanation, out)
    else:
        out.value(explanation)
    raise typer.Exit(DONE)


def _show_explanation(explanation: "Explanation", out: Output) -> None:
    now = datetime.now(UTC)
    out.line(explanation.message)
    for cause in explanation.other_causes:
        out.line("Also: ", cause.message)
    ahead = "" if explanation.ahead is None else count_text(explanation.ahead, explanation.ahead_capped)
    facts = (
        ("next", explanation.next),
        ("at", f"{clock_text(explanation.next_time)} ({from_now(explanation.next_time, now)})"),
        ("jobs ahead", ahead),
        ("worker", explanation.worker_id),
        ("started", clock_text(explanation.start_time)),
        ("lease ends", clock_text(explanation.lease_expire_time)),
    )
    out.table((), [(Styled(name, DIM), value) for name, value in facts if value.strip(" ()")])
