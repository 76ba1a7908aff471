"""Looks over the shoulders of the servers: a fault that no caller sees may stand in a log."""

import json
from pathlib import Path
from typing import Any

TROUBLE = {"error", "critical"}
"""Levels."""


class LogWatch:
    """What is new in some log files."""

    def __init__(self, *files: Path) -> None:
        self._read = {file: file.stat().st_size for file in files}

    def troubles(self) -> list[str]:
        """Lines since the last time that tell of an unexpected failure."""
        found = []
        for file, begin in self._read.items():
            with file.open("rb") as log:
                log.seek(begin)
                # A line that is being written is left for the next time.
                lines = log.read().rpartition(b"\n")[0]
            self._read[file] = begin + len(lines)
            found += [
                f"{file.name}: {line}"
                for line in lines.decode(errors="replace").splitlines()
                if is_trouble(line)
            ]
        return found


def is_trouble(line: str) -> bool:
    """Whether a line has a stack trace, or is of a level that nothing a caller sends may cause."""
    if "Traceback" in line:
        return True
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and entry.get("level") in TROUBLE
