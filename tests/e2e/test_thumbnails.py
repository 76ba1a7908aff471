"""The program in examples/thumbnails/ does what its page says, with fewer pictures."""

import subprocess
import sys
from pathlib import Path

from local_stack.stack import Stack
from tests.e2e.jobs_command import environment

PROGRAM = Path(__file__).parents[2] / "examples" / "thumbnails" / "make_thumbnails.py"


def test_the_program_is_short() -> None:
    lines = PROGRAM.read_text().splitlines()
    assert len([line for line in lines if line.strip()]) < 40


def test_all_thumbnails_are_made_but_the_damaged_ones(stack: Stack) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, "40"],
        env=dict(environment(stack)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stderr == ""
    progress, time, errors, retried, ended = ran.stdout.splitlines()[-5:]
    assert progress.endswith("40 of 40 have ended")
    assert time.endswith("worker(s)")
    assert errors == "errors: {'HANDLER_ERROR': 4, 'INVALID_INPUT': 2}"
    assert retried == "4 retried"
    assert ended == "{'completed': 38, 'failed': 2}"
