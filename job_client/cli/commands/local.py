"""`jobctl replay` and `jobctl dev`: what runs on this machine."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

import job_client
from job_client.cli import options
from job_client.cli.exits import DONE, FAILED, USAGE
from job_client.cli.output import Format, Output
from job_client.cli.session import connected

NEEDS_WORKER = "jobctl: replay needs the worker's packages; run: pip install 'distributed-processing[worker]'"
NEEDS_MAKE = "dev needs make, which is not installed here; install it"
NEEDS_PROJECT = (
    "the project's folder is not here: run `jobctl dev` in a clone of the project, or start the system there "
    "with `make run` or `docker compose up`, and set JOBS_URL if it runs on another machine"
)


def replay(
    job_id: options.JobId,
    local: Annotated[bool, typer.Option("--local", help="Run it here. It must be said.")] = False,
    handlers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE", envvar="WORKER_HANDLERS", help="Modules with handlers, as of a worker."
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Stop in pdb at the handler's first line.")] = False,
    output: options.OutputOption = Format.table,
) -> None:
    """Run a job's stored payload in a handler on this machine.

    The job itself is not touched. Prints the result; the exit status is 1 if the handler fails.
    """
    if not local:
        raise typer.BadParameter(
            "say --local to run it here; `jobctl retry ID` runs it in the system", param_hint="--local"
        )
    out = Output(output)
    try:
        from job_client.cli import replay as replaying  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"job_client", "contract_runtime"}:
            raise
        out.say(NEEDS_WORKER)
        raise typer.Exit(USAGE) from None
    modules = [name.strip() for each in handlers or [] for name in each.split(",") if name.strip()]
    file_root = Path(os.environ.get("WORKER_FILE_ROOT") or "files")
    with connected() as client:
        job = client.get(job_id)
    spec = options.checked("--handlers", lambda: replaying.find_handler(job.type, modules, file_root))
    out.note(f"Job {job.id} in {spec.location}; its record stays as it is")
    replayed = replaying.replay(
        job, spec, lambda percent, message: out.note(f"{percent:g} % {message}"), debug=debug
    )
    if replayed.result is not None:
        out.value(replayed.result)
        raise typer.Exit(DONE)
    if replayed.trace:
        out.trace(replayed.trace)
    out.say(f"The handler failed: {replayed.reason}: {replayed.message}")
    raise typer.Exit(FAILED)


def dev() -> None:
    """Start the whole system on this machine, run a few jobs, and stay until Ctrl-C.

    It is `make run` of the project's folder, which is searched in and above the current one.
    """
    root = project_root(Path.cwd(), Path(job_client.__file__))
    make = shutil.which("make")
    if root is None or make is None:
        Output(Format.table).say(f"jobctl: {NEEDS_PROJECT if root is None else NEEDS_MAKE}")
        raise typer.Exit(USAGE)
    os.execv(make, [make, "-C", str(root), "run"])  # noqa: S606 - it is the project's own command


def project_root(*places: Path) -> Path | None:
    """The first folder in or above `places` that is the project's."""
    folders = (folder for place in places for folder in (place, *place.parents))
    return next((each for each in folders if (each / "local_stack").is_dir() and _has_makefile(each)), None)


def _has_makefile(folder: Path) -> bool:
    return (folder / "Makefile").is_file() and (folder / "proto" / "jobs").is_dir()
