"""The command's parts put together, and what it says when something fails."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from contract_runtime.version import VERSION
from job_client.cli.commands import change, fleet, local, show, submit
from job_client.cli.exits import FAILED, INTERRUPTED, of_error
from job_client.cli.output import Format, Output

TRACE_VARIABLE = "JOBS_TRACE"
"""Set: errors come with their trace."""
ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"


class Commands(TyperGroup):
    """Turns errors of the client into a sentence and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            # An error of the client can only come from a client that was imported.
            errors = sys.modules.get("job_client.errors")
            if errors is None or not isinstance(error, errors.JobClientError) or _wants_trace():
                raise
            status, sentence = of_error(error)
            Output(Format.table).say(f"jobctl: {sentence}")
            raise typer.Exit(status) from None


app = typer.Typer(
    name="jobctl",
    cls=Commands,
    no_args_is_help=True,
    # Plain help is five times as fast as that of rich, and shows text as it is.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jobctl {VERSION}")
        raise typer.Exit


@app.callback(epilog="\b\nExample:\n  $ jobctl submit compute input=hello --wait")
def jobctl(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Submit jobs, follow them, and control the workers.

    The server is JOBS_URL (127.0.0.1:3000), and JOBS_CONTROL_URL for workers, start and stop (port 4000 of
    the same host). JOBS_TOKEN, or the token in the file JOBS_TOKEN_FILE, is sent with each call; JOBS_CA_FILE
    is for TLS.

    Exit status: 0 done, 1 a job failed or the server refused, 2 wrong usage, 3 no server answers, 124 the
    time of --timeout is over.
    """


def _add(name: str, function: Callable[..., None], *examples: str) -> None:
    epilog = "\b\nExamples:\n" + "\n".join(f"  $ {each}" for each in examples)
    app.command(name, epilog=epilog)(function)


_add(
    "submit",
    submit.submit,
    "jobctl submit compute input=hello --wait",
    'jobctl submit compute --data \'{"input": "hello"}\' --label team=billing',
    "jobctl submit compute --ndjson payloads.ndjson --wait",
)
_add("get", show.get, f"jobctl get {ID}", f"jobctl get {ID} -o json | jq .result")
_add(
    "list",
    show.list_jobs,
    "jobctl list --status failed --type compute --created-after 2h",
    "jobctl list --status processing --watch",
)
_add("watch", show.watch, f"jobctl watch {ID} --timeout 5m")
_add("log", show.log, f"jobctl log {ID}", f"jobctl log {ID} --follow")
_add("why", show.why, f"jobctl why {ID}")
_add("cancel", change.cancel, f"jobctl cancel {ID}", "jobctl cancel --type compute --status queued --dry-run")
_add("retry", change.retry, f"jobctl retry {ID}", "jobctl retry --failed --type compute --reason TIMEOUT")
_add("stats", fleet.stats, "jobctl stats", "jobctl stats -o json | jq '.types[].queued'")
_add("types", fleet.types, "jobctl types")
_add("workers", fleet.workers, "jobctl workers")
_add("start", fleet.start, "jobctl start --all", "jobctl start --type compute")
_add("stop", fleet.stop, "jobctl stop --worker worker-1", "jobctl stop --type compute")
_add("replay", local.replay, f"jobctl replay {ID} --local --handlers word_handlers --debug")
_add("dev", local.dev, "jobctl dev")


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    try:
        app(None if arguments is None else list(arguments), prog_name="jobctl")
    except Exception as error:
        if _wants_trace():
            raise
        Output(Format.table).say(
            f"jobctl: this is a fault of the command: {type(error).__name__}: {error}; "
            f"set {TRACE_VARIABLE}=1 to see where it happens"
        )
        sys.exit(FAILED)


def _wants_trace() -> bool:
    return bool(os.environ.get(TRACE_VARIABLE))


def _never_fail(stream: TextIO) -> None:
    """A terminal that cannot show a character gets an escape."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
