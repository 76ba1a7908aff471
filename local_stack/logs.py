"""Shows the logs of the parts: their last lines, and then each new line as it is written."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local_stack.part import StackError

POLL = 0.2
LAST_LINES = 30
LAST_BYTES = 64 * 1024
"""How much of a log's end is read to find its last lines."""


def logs_of(folder: Path, part: str = "") -> dict[str, Path]:
    """The log files by the names of their parts. `part`: only `worker-2`, or all parts named `worker`.

    Raises StackError if there is none.
    """
    every = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if not every:
        raise StackError(f"there are no logs in {folder}: `make up` starts the system")
    chosen = {name: path for name, path in every.items() if part in ("", name, name.rpartition("-")[0])}
    if not chosen:
        raise StackError(f"no part is named {part!r}; there are: {', '.join(every)}")
    return chosen


def show_logs(logs: Mapping[str, Path], show: Callable[[str], None], goes_on: Callable[[], bool]) -> None:
    """Show the last lines of each log, then all new ones while `goes_on` returns true.

    With several logs, each line begins with the name of its part.
    """
    width = max(map(len, logs))
    prefixes = {name: f"{name:<{width}} | " if len(logs) > 1 else "" for name in logs}
    ends = {name: _End(path) for name, path in logs.items()}
    while True:
        for name, end in ends.items():
            for line in end.new_lines():
                show(prefixes[name] + line)
        if not goes_on():
            return
        time.sleep(POLL)


class _End:
    """The end of one log. A line is shown when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to: int | None = None

    def new_lines(self) -> list[str]:
        """What was added since the last call; at first the last lines that are there."""
        with self._path.open("rb") as log:
            size = log.seek(0, 2)
            is_first = self._read_to is None
            begin = max(0, size - LAST_BYTES) if self._read_to is None else self._read_to
            if size < begin:
                # The log was replaced by a new one.
                begin = 0
            log.seek(begin)
            complete, _, rest = log.read().rpartition(b"\n")
            self._read_to = log.tell() - len(rest)
        lines = complete.decode(errors="replace").split("\n") if complete else []
        return lines[-LAST_LINES:] if is_first else lines
