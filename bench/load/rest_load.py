"""Submits jobs over REST with wrk.

wrk is written in C with LuaJIT. It is so cheap that the gateway and the services are measured, not the
client.
"""

import resource
import shutil
import subprocess
from pathlib import Path

from bench.errors import BenchFailed
from bench.load.submitted import Submitted

SCRIPT = Path(__file__).with_name("create.lua")
MAX_DURATION = "900s"


class RestLoadFailed(BenchFailed):
    """wrk is missing or has failed. The message tells what to do."""


def create_over_rest(address: str, first: int, jobs: int, connections: int) -> Submitted:
    """One call at a time on each connection. Raises RestLoadFailed unless every job was accepted."""
    command = [
        wrk(),
        *("--threads", "1"),
        *("--connections", str(connections)),
        *("--duration", MAX_DURATION),
        *("--script", str(SCRIPT)),
        f"http://{address}",
        *("--", address, str(first), str(jobs), str(connections)),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = seconds_of(done)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Submitted(jobs, seconds, cpu)


def seconds_of(done: "subprocess.CompletedProcess[str]") -> float:
    """The time that the script has measured. Raises RestLoadFailed."""
    try:
        # wrk writes this line only when all calls were answered.
        return float(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RestLoadFailed(f"wrk failed: {(done.stderr or done.stdout).strip()}") from None


def wrk() -> str:
    """The path of the program. Raises RestLoadFailed if it is missing."""
    found = shutil.which("wrk")
    if found is None:
        raise RestLoadFailed(
            "wrk, the load generator for REST, is missing: install it with `apt-get install wrk`, "
            "`dnf install wrk` or `brew install wrk`"
        )
    return found
