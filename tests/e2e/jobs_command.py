"""The `jobctl` command against the stack."""

import os
import sys
from collections.abc import Mapping

from local_stack.services import PYTHON_PATH
from local_stack.stack import Stack
from tests.jobctl import Ran, run_here

COMMAND = (sys.executable, "-m", "job_client.cli")


def environment(stack: Stack) -> Mapping[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("JOBS_")},
        **PYTHON_PATH,
        "JOBS_URL": stack.endpoints.jobs_url,
        "JOBS_CONTROL_URL": stack.endpoints.workers_url,
        "WORKER_HANDLERS": "tests.handlers",
    }


def run_jobs(stack: Stack, *arguments: str, stdin: str = "", **variables: str) -> Ran:
    """Run the command in this process."""
    return run_here(*arguments, stdin=stdin, environment={**environment(stack), **variables})


def output_of(stack: Stack, *arguments: str, stdin: str = "") -> str:
    """The standard output of a command that succeeds."""
    ran = run_jobs(stack, *arguments, stdin=stdin)
    assert ran.status == 0, ran.stderr
    return ran.stdout
