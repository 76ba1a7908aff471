"""Ends the programs that handlers have started in a job process, when the process has ended.

The process and its programs are one process group. The programs get SIGTERM, and after a grace period of one
second SIGKILL.
"""

import contextlib
import os
import signal
import threading
import time

GRACE_SECONDS = 1.0
POLL_SECONDS = 0.02


def terminate_group(group: int) -> None:
    """Send SIGTERM to a group, if it exists. Its leader must not be reaped yet: that frees its number."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)


class GroupEnds:
    """Watches each terminated group in a thread of its own until the group has ended."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    def watch(self, group: int) -> None:
        """After the grace period, kill what is left of a group.

        Does nothing if the group has ended already.
        """
        if _exists(group):
            # The name must not look like that of a job thread: no job waits for this thread.
            thread = threading.Thread(target=self._end, args=(group,), name="process-group-end", daemon=True)
            self._threads.add(thread)
            thread.start()

    def wait(self) -> None:
        """Wait until all groups have ended. Blocks for at most two grace periods for each group."""
        for thread in list(self._threads):
            thread.join(2 * GRACE_SECONDS)

    def _end(self, group: int) -> None:
        if not _ends_in_time(group):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            _ends_in_time(group)
        self._threads.discard(threading.current_thread())


def _ends_in_time(group: int) -> bool:
    """Whether a group ends within the grace period."""
    over_at = time.monotonic() + GRACE_SECONDS
    while _exists(group):
        if time.monotonic() >= over_at:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _exists(group: int) -> bool:
    """Whether the group has a process that this process may signal."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
