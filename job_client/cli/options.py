"""Arguments and options that several commands share, and how their text is read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from job_client.cli import completion, times
from job_client.cli.inputs import read_labels
from job_client.cli.output import Format

if TYPE_CHECKING:
    from job_client.options import JobFilter

T = TypeVar("T")
WHEN = "10m, 2h, 3d (before now), or 2026-05-01T12:00Z"

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="For people, or JSON for programs.", show_default=True)
]
Statuses = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", metavar="STATUS", help="Only these.", autocompletion=completion.statuses),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type", "-t", metavar="TYPE", help="Only these job types.", autocompletion=completion.types
    ),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only jobs with all of these.")
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", metavar="REASON", help="Only these reasons of errors.")
]
Workers = Annotated[
    list[str] | None,
    typer.Option(
        "--worker", metavar="ID", help="Only of these workers.", autocompletion=completion.worker_ids
    ),
]
CreatedAfter = Annotated[str | None, typer.Option(metavar="TIME", help=f"Created since: {WHEN}.")]
CreatedBefore = Annotated[str | None, typer.Option(metavar="TIME", help="Created before.")]
EndedAfter = Annotated[str | None, typer.Option(metavar="TIME", help="Ended since.")]
EndedBefore = Annotated[str | None, typer.Option(metavar="TIME", help="Ended before.")]
Timeout = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Wait no longer than this: 30s, 5m. The job goes on.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many jobs it would change.")]


def conditions(
    statuses: list[str] | None = None,
    types: list[str] | None = None,
    labels: list[str] | None = None,
    reasons: list[str] | None = None,
    workers: list[str] | None = None,
    *,
    created: tuple[str | None, str | None] = (None, None),
    ended: tuple[str | None, str | None] = (None, None),
) -> "JobFilter":
    """The client's filter, only with the conditions that were given."""
    found: JobFilter = {}
    if statuses:
        found["statuses"] = statuses
    if types:
        found["types"] = types
    if labels:
        found["labels"] = checked("--label", lambda: read_labels(labels))
    if reasons:
        found["error_reasons"] = reasons
    if workers:
        found["worker_ids"] = workers
    if created[0] is not None:
        found["create_time_from"] = past("--created-after", created[0])
    if created[1] is not None:
        found["create_time_before"] = past("--created-before", created[1])
    if ended[0] is not None:
        found["end_time_from"] = past("--ended-after", ended[0])
    if ended[1] is not None:
        found["end_time_before"] = past("--ended-before", ended[1])
    return found


def past(option: str, text: str) -> datetime:
    return checked(option, lambda: times.parse_time(text, datetime.now(UTC), -1))


def future(option: str, text: str | None) -> datetime | None:
    return None if text is None else checked(option, lambda: times.parse_time(text, datetime.now(UTC), 1))


def duration(option: str, text: str | None) -> timedelta | None:
    return None if text is None else checked(option, lambda: times.parse_duration(text))


def seconds(option: str, text: str | None) -> float | None:
    found = duration(option, text)
    return None if found is None else found.total_seconds()


def checked(option: str, read: Callable[[], T]) -> T:
    """What `read` returns. Its ValueError is a wrong `option`."""
    try:
        return read()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
