"""`jobctl submit`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_client.cli import completion, inputs, options
from job_client.cli.ending import show_end
from job_client.cli.exits import of_job
from job_client.cli.following import follow, leaving_submitted
from job_client.cli.output import Format, Output
from job_client.cli.session import connected
from job_client.cli.submitting import JobLines, submit_lines

if TYPE_CHECKING:
    from job_client.job import Job


JobType = Annotated[
    str | None,
    typer.Argument(
        metavar="TYPE", help="The job type.", show_default=False, autocompletion=completion.accepted_types
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="The payload: key=text, or key:=JSON.", show_default=False),
]
Data = Annotated[
    str | None, typer.Option("--data", "-d", metavar="JSON", help="The payload as JSON; - reads stdin.")
]
PayloadFile = Annotated[
    str | None, typer.Option("--file", "-f", metavar="FILE", help="A file with the payload; - is stdin.")
]
Ndjson = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Many jobs, one JSON object a line: payloads if TYPE is given, else jobs with type, payload, "
        "labels, id. - is stdin.",
    ),
]
ChosenId = Annotated[
    str | None, typer.Option("--id", metavar="UUID", help="A UUIDv7: submitted twice, it is one job.")
]
NewLabels = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="For filters of `list`.")
]
StartTime = Annotated[str | None, typer.Option(metavar="TIME", help="Not before: 10m, or 2026-05-01T12:00Z.")]
ExpireTime = Annotated[str | None, typer.Option(metavar="TIME", help="Not after: 2h, or a time.")]
AttemptTimeout = Annotated[str | None, typer.Option(metavar="DURATION", help="How long one attempt may run.")]
MaxAttempts = Annotated[
    int | None, typer.Option(metavar="NUMBER", help="The job fails after this many failures.")
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end and show the result.")]


def submit(
    job_type: JobType = None,
    pairs: Pairs = None,
    data: Data = None,
    file: PayloadFile = None,
    ndjson: Ndjson = None,
    job_id: ChosenId = None,
    label: NewLabels = None,
    start: StartTime = None,
    expire: ExpireTime = None,
    attempt_timeout: AttemptTimeout = None,
    max_attempts: MaxAttempts = None,
    wait: Wait = False,
    timeout: options.Timeout = None,
    output: options.OutputOption = Format.table,
) -> None:
    """Submit a job, or many from a file.

    Prints the id. With --wait it prints the result, and the exit status is 1 if a job fails.
    """
    out = Output(output)
    common = _common(label, start, expire, attempt_timeout, max_attempts)
    seconds = options.seconds("--timeout", timeout)
    if ndjson is not None:
        if pairs or data is not None or file is not None or job_id is not None:
            raise typer.BadParameter("takes the payloads and ids from the lines only", param_hint="--ndjson")
        lines = JobLines(ndjson, job_type, common)
        with connected() as client:
            raise typer.Exit(submit_lines(client, lines, out, wait=wait, timeout=seconds))
    if job_type is None:
        raise typer.BadParameter("name the job type; `jobctl types` lists them", param_hint="TYPE")
    payload = options.checked("the payload", lambda: inputs.read_payload(pairs or [], data, file))
    # Chosen here, so that it is known even if the call is given up.
    job_id = job_id or new_job_id()
    with connected() as client:
        with leaving_submitted(out, job_id):
            handle = client.submit(job_type, payload, id=job_id, **common)
        _show_submitted(out, handle.id, handle.job, wait=wait)
        if wait:
            job = follow(client, handle.id, out, timeout=seconds)
            show_end(job, out)
            raise typer.Exit(of_job(job))


def new_job_id() -> str:
    from uuid_utils import uuid7  # noqa: PLC0415 - `--help` needs no id

    return str(uuid7())


def _show_submitted(out: Output, job_id: str, job: "Job | None", *, wait: bool) -> None:
    for warning in job.warnings if job is not None else ():
        out.say(f"warning: {warning}")
    if wait:
        out.note(f"Submitted {job_id}")
    elif out.is_for_people:
        out.line(job_id)
        out.note(f"To wait for it: jobctl watch {job_id}")
    else:
        out.value(job)


def _common(
    label: list[str] | None,
    start: str | None,
    expire: str | None,
    attempt_timeout: str | None,
    max_attempts: int | None,
) -> dict[str, Any]:
    """The options of the client that are given."""
    found: dict[str, Any] = {
        "labels": options.checked("--label", lambda: inputs.read_labels(label)) if label else None,
        "schedule_time": options.future("--start", start),
        "expire_time": options.future("--expire", expire),
        "attempt_timeout": options.duration("--attempt-timeout", attempt_timeout),
    }
    if max_attempts is not None:
        from job_client.retry_policy import RetryPolicy  # noqa: PLC0415 - `--help` needs no client

        found["retry_policy"] = RetryPolicy(max_attempts=max_attempts)
    return {name: value for name, value in found.items() if value is not None}
