"""Reads the servers' logs, because some faults are only there."""

import json
from pathlib import Path
from typing import Any

TROUBLE = {"error", "critical"}
"""Log levels."""


class LogWatch:
    """The new lines in some log files."""

    def __init__(self, *files: Path) -> None:
        self._read = {file: file.stat().st_size for file in files}

    def troubles(self) -> list[str]:
        """Lines since the last call that report an unexpected failure."""
        found = []
        for file, begin in self._read.items():
            with file.open("rb") as log:
                log.seek(begin)
                # An incomplete line is left for the next call.
                lines = log.read().rpartition(b"\n")[0]
            self._read[file] = begin + len(lines)
            found += [
                f"{file.name}: {line}"
                for line in lines.decode(errors="replace").splitlines()
                if is_trouble(line)
            ]
        return found


def is_trouble(line: str) -> bool:
    """Whether a line has a stack trace, or a level that no input may cause."""
    if "Traceback" in line:
        return True
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and entry.get("level") in TROUBLE
