"""python -m bench.hops.traced PACKAGE FILE

Runs the service `PACKAGE` and appends a line to FILE for each hand-over: nanoseconds, name, id of the job.
"""

import importlib
import os
import sys
import time
from pathlib import Path

from bench.hops.points import POINTS, Seen, wrap


class Trace:
    """Each write is one system call, so that nothing is lost however the process ends."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, seen: Seen) -> None:
        now = time.monotonic_ns()
        if lines := "".join(f"{now} {hop.name} {job_id}\n" for hop, job_id in seen):
            os.write(self._file, lines.encode())


def main(package: str, file: str) -> int:
    trace = Trace(Path(file))
    for point in POINTS[package]:
        wrap(point, trace.note)
    status: int = importlib.import_module(f"{package}.__main__").main()
    return status


if __name__ == "__main__":
    package, file = sys.argv[1:]
    # The service reads its own arguments, and has none.
    del sys.argv[1:]
    sys.exit(main(package, file))
