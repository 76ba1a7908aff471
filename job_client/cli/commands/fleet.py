"""`jobctl stats`, `types`, `workers`, `start` and `stop`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from job_client.cli import completion, options
from job_client.cli.fleet_views import (
    STATS_HEADER,
    TYPES_HEADER,
    WORKERS_HEADER,
    stats_row,
    stops_text,
    type_row,
    worker_row,
)
from job_client.cli.output import Format, Output
from job_client.cli.session import connected

if TYPE_CHECKING:
    from job_client.reports import FleetChange

Everything = Annotated[bool, typer.Option("--all", help="All workers and types.")]
OneWorker = Annotated[
    str | None,
    typer.Option(
        "--worker",
        metavar="NAME",
        help="Only this worker; an id works, too.",
        autocompletion=completion.worker_names,
    ),
]
OneType = Annotated[
    str | None,
    typer.Option(
        "--type", "-t", metavar="TYPE", help="Only jobs of this type.", autocompletion=completion.types
    ),
]


def stats(output: options.OutputOption = Format.table) -> None:
    """Show the jobs in numbers, by type.

    QUEUED and RUNNING are as of now. The other numbers are those of the last hour.
    """
    out = Output(output)
    with connected() as client:
        found = client.stats()
    if out.is_for_people:
        out.table(STATS_HEADER, map(stats_row, found.types))
    else:
        out.value(found)


def types(output: options.OutputOption = Format.table) -> None:
    """List the job types: who runs each, and how many jobs wait."""
    out = Output(output)
    with connected() as client:
        out.values(TYPES_HEADER, client.types(), type_row)


def workers(output: options.OutputOption = Format.table) -> None:
    """List the workers and what each is doing."""
    out = Output(output)
    with connected() as client:
        fleet = client.workers()
    if not out.is_for_people:
        out.value(fleet)
        return
    now = datetime.now(UTC)
    out.table(WORKERS_HEADER, [worker_row(worker, fleet, now) for worker in fleet.workers])
    if not fleet.workers:
        out.note("No worker runs; `make up` starts one on this machine")
    if fleet.workers_omitted:
        out.note(f"{fleet.workers_omitted} more workers are not shown: their reports are too large")
    if stops := stops_text(fleet):
        out.note(stops)


def start(
    everything: Everything = False,
    worker: OneWorker = None,
    job_type: OneType = None,
    output: options.OutputOption = Format.table,
) -> None:
    """Let workers take new jobs again. --all clears every stop."""
    out = Output(output)
    _check_part(everything, worker, job_type)
    with connected() as client:
        _show_change(client.start(worker=_name_of(worker), job_type=job_type), "started", out)


def stop(
    everything: Everything = False,
    worker: OneWorker = None,
    job_type: OneType = None,
    output: options.OutputOption = Format.table,
) -> None:
    """Stop workers from taking new jobs. Jobs in flight finish, new jobs wait."""
    out = Output(output)
    _check_part(everything, worker, job_type)
    with connected() as client:
        _show_change(client.stop(worker=_name_of(worker), job_type=job_type), "stopped", out)


def _check_part(everything: bool, worker: str | None, job_type: str | None) -> None:
    if sum((everything, worker is not None, job_type is not None)) != 1:
        raise typer.BadParameter("say one of --all, --worker NAME and --type TYPE", param_hint="--all")


def _name_of(worker: str | None) -> str | None:
    """The name of a worker in its id, which is `name/incarnation`."""
    return None if worker is None else worker.partition("/")[0]


def _show_change(change: "FleetChange", done: str, out: Output) -> None:
    if not out.is_for_people:
        out.value(change)
        return
    out.done(f"{done}; {stops_text(change) or 'nothing is stopped'}")
    if change.pending_worker_ids:
        out.say(f"not confirmed yet by {', '.join(change.pending_worker_ids)}")
