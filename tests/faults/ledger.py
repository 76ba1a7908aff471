"""The handlers' own record of their runs. Each line is one appending write, so it survives a SIGKILL."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.history import Run


def note(ledger: str, **fields: Any) -> None:
    """Append one line with the time. The time is right even if this process has a shifted clock."""
    line = json.dumps({**fields, "at": time.clock_gettime(time.CLOCK_REALTIME)}) + "\n"
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read_runs(ledger: Path) -> list[Run]:
    """All runs, in the order of their starts."""
    if not ledger.exists():
        return []
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    ends = {line["run_id"]: line for line in lines if "ending" in line}
    return [_run(line, ends.get(line["run_id"], {})) for line in lines if "ending" not in line]


def _run(start: Mapping[str, Any], end: Mapping[str, Any]) -> Run:
    return Run(
        start["job"],
        start["attempt"],
        start["worker"],
        start["run_id"],
        start["at"],
        end.get("at"),
        end.get("ending"),
    )
