"""Runs the crowd of bench/load/crowd.py in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import BenchFailed
from bench.load.crowd import READY
from local_stack.settings import ROOT

END_SECONDS = 60.0


class CrowdFailed(BenchFailed):
    """The crowd has ended early. The message tells why."""


class Crowd:
    """`cpu_seconds`: what the crowd's process used while it was there. 0 until it is gone."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0


@contextmanager
def crowd(address: str, waits: int, watches: int) -> Iterator[Crowd]:
    """The crowd is there inside the block. Raises CrowdFailed if one of its calls ended early."""
    found = Crowd()
    command = [sys.executable, "-m", "bench.load.crowd", address, str(waits), str(watches)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if process.stdout is None or process.stdout.readline().strip() != READY:
                raise CrowdFailed(f"the crowd did not come: {process.communicate()[1]}")
            yield found
            output, problem = process.communicate(timeout=END_SECONDS)
        finally:
            process.kill()
    if process.returncode:
        raise CrowdFailed(f"the crowd has ended early: {problem.strip()}")
    found.cpu_seconds = float(output)
