"""Jobs over REST, by wrk: C and LuaJIT, so that the gateway and what is behind it are measured and not the client."""

import json
import resource
import shutil
import subprocess
from pathlib import Path

from bench.load.submitted import Submitted

SCRIPT = Path(__file__).with_name("create.lua")
PROBES = 1
"""Requests that wrk has made up before it starts, and does not send."""


class RestLoadFailed(Exception):
    """wrk is missing, or did not do what it should; the text says what to do."""


def create_over_rest(address: str, first: int, seconds: int, connections: int) -> Submitted:
    """Create jobs for so long on so many connections, one call at a time on each.

    Raises RestLoadFailed if an answer was an error.
    """
    command = [
        wrk(),
        *("--threads", "1"),
        *("--connections", str(connections)),
        *("--duration", f"{seconds}s"),
        *("--timeout", "30s"),
        *("--script", str(SCRIPT)),
        f"http://{address}",
        *("--", address, str(first)),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RestLoadFailed(done.stderr or done.stdout)
    told = json.loads(done.stdout.splitlines()[-1])
    if told["refused"] or told["broken"]:
        raise RestLoadFailed(f"{told['refused']} calls were refused, {told['broken']} broke off")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Submitted(told["answers"], told["microseconds"] / 1e6, cpu, unanswered=connections + PROBES)


def wrk() -> str:
    """The program. Raises RestLoadFailed."""
    found = shutil.which("wrk")
    if found is None:
        raise RestLoadFailed("wrk is needed: install the package wrk of Debian, Ubuntu, Fedora or Homebrew")
    return found
