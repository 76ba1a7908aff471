"""CPU time and memory of running processes and their children, by role."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

PEAK_RSS = "VmHWM:"
FORGET_PEAK = "5"
"""Written to clear_refs, this makes Linux reset the peak."""


class Usage:
    """`pids`: the processes of each role."""

    def __init__(self, pids: Mapping[str, Iterable[int]]) -> None:
        self._heads = {role: [psutil.Process(pid) for pid in each] for role, each in pids.items()}

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time since the start.

        An ended child counts as soon as its parent has waited for it.
        """
        return {
            role: sum(sum(process.cpu_times()[:4]) for process in self._processes(role))
            for role in self._heads
        }

    def rss(self, *roles: str) -> int:
        """The bytes in memory now."""
        return sum(process.memory_info().rss for role in roles for process in self._processes(role))

    def forget_peaks(self) -> None:
        for role in self._heads:
            for process in self._processes(role):
                # Some sandboxes forbid the reset. Then the peak is the one since the start.
                with suppress(OSError):
                    Path(f"/proc/{process.pid}/clear_refs").write_text(FORGET_PEAK)

    def peak_bytes(self) -> dict[str, int]:
        """The sum of each process's peak. Pages that processes share count for each of them."""
        return {role: sum(_peak(process.pid) for process in self._processes(role)) for role in self._heads}

    def _processes(self, role: str) -> list[psutil.Process]:
        return [each for head in self._heads[role] for each in (head, *head.children(recursive=True))]


def since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The difference between two results of cpu_seconds."""
    return {role: after[role] - before[role] for role in after}


def _peak(pid: int) -> int:
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(PEAK_RSS):
                return int(line.split()[1]) * 1024
    return 0
