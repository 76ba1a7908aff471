"""Jobs over REST, by wrk: C and LuaJIT, so that the gateway and what is behind it are measured and not the client."""

import resource
import shutil
import subprocess
from pathlib import Path

from bench.errors import BenchFailed
from bench.load.submitted import Submitted

SCRIPT = Path(__file__).with_name("create.lua")
LONGEST = "900s"


class RestLoadFailed(BenchFailed):
    """wrk is missing, or did not do what it should; the text says what to do."""


def create_over_rest(address: str, first: int, jobs: int, connections: int) -> Submitted:
    """One call at a time on each connection. The caller checks that all were accepted, by reading them back.

    Raises RestLoadFailed.
    """
    command = [
        wrk(),
        *("--threads", "1"),
        *("--connections", str(connections)),
        *("--duration", LONGEST),
        *("--script", str(SCRIPT)),
        f"http://{address}",
        *("--", address, str(first), str(jobs), str(connections)),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        # Its last line, and only when all calls were answered.
        seconds = float(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RestLoadFailed(f"wrk did not end well:\n{done.stderr or done.stdout}") from None
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Submitted(jobs, seconds, cpu)


def wrk() -> str:
    """The program. Raises RestLoadFailed."""
    found = shutil.which("wrk")
    if found is None:
        raise RestLoadFailed(
            "wrk, the load generator for REST, is missing: install it with `apt-get install wrk`, "
            "`dnf install wrk` or `brew install wrk`"
        )
    return found
