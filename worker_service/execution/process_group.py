"""Ends the programs that a handler has started in its process, when that process has ended: all are of one process group.

They are told by SIGTERM, and have a second to tidy up; what is left then is killed.
"""

import contextlib
import os
import signal
import threading
import time

GRACE_SECONDS = 1.0
POLL_SECONDS = 0.02


def tell_group_to_end(group: int) -> None:
    """Send SIGTERM to a group, if it exists. Its leader must not have been waited for yet, so that its number is its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)


class GroupEnds:
    """The groups that were told to end, each watched by a thread of its own until it has."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    def watch(self, group: int) -> None:
        """Kill what is left of a group after the grace. Does nothing if nothing is left of it by now."""
        if _exists(group):
            # A name that is not that of a job's thread: nobody's result depends on it.
            thread = threading.Thread(target=self._end, args=(group,), name="process-group-end", daemon=True)
            self._threads.add(thread)
            thread.start()

    def wait(self) -> None:
        """Until all groups have ended: blocks for two graces at most."""
        for thread in list(self._threads):
            thread.join(2 * GRACE_SECONDS)

    def _end(self, group: int) -> None:
        if not _has_ended(group):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            _has_ended(group)
        self._threads.discard(threading.current_thread())


def _has_ended(group: int) -> bool:
    """Whether a group has ended within the grace."""
    over_at = time.monotonic() + GRACE_SECONDS
    while _exists(group):
        if time.monotonic() >= over_at:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _exists(group: int) -> bool:
    """Whether there is anybody of the group whom this process may end."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
