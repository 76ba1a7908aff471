"""The `jobctl` command: submits jobs, shows them, and controls the workers from a terminal.

It speaks only to JobClient. What it imports at the start is small, so that `jobctl --help` is quick.
"""

import sys
from collections.abc import Sequence

NOT_INSTALLED = (
    "jobctl: the packages of the command are missing; run: pip install 'distributed-processing[cli]'"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its exit status."""
    try:
        from job_client.cli.app import run  # noqa: PLC0415 - typer may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        print(NOT_INSTALLED, file=sys.stderr)  # noqa: T201 - nothing else can print yet
        sys.exit(2)
    run(arguments)
