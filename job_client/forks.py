"""Refuses clients in a process that was forked while grpc.aio was in use.

gRPC's threads do not exist in the child, but what they held does: locks, connections, and a queue that no
thread serves. A call in the child hangs or ends the process with signal 11. gRPC's own fork support covers
only its blocking API: with grpc.aio a thread is always inside gRPC, and the support logs "Other threads are
currently calling into gRPC, skipping fork() handlers". So the client raises an error in such a child. A fork
while nothing of grpc.aio is open is harmless.
"""

import os
import threading
from weakref import WeakSet

import grpc

from job_client.errors import JobClientError

REASON = "CLIENT_FORKED"
POLLER = "(_poll_wrapper)"
"""Part of the name of grpc.aio's thread.

The thread runs while any channel or server of the process is open, and for a moment after that. A fork in
this moment counts as one while gRPC was in use.
"""


class Forks:
    """Remembers open clients, and whether this process was forked while grpc.aio was in use."""

    def __init__(self) -> None:
        self._open: WeakSet[object] = WeakSet()
        self._parent_with_grpc: int | None = None
        """The process that this one was forked from, if grpc.aio was in use there."""
        self._in_use = False
        self._process = os.getpid()
        os.register_at_fork(before=self._before, after_in_child=self._after_in_child)

    def check(self) -> None:
        """Raise JobClientError if gRPC cannot be used in this process."""
        if self._parent_with_grpc is not None:
            raise forked(
                f"this process was forked from process {self._parent_with_grpc} while gRPC was in use there, "
                "and cannot use it"
            )

    def add(self, opened: object) -> None:
        self._open.add(opened)

    def remove(self, opened: object) -> None:
        self._open.discard(opened)

    def _before(self) -> None:
        self._in_use = bool(self._open) or any(POLLER in thread.name for thread in threading.enumerate())

    def _after_in_child(self) -> None:
        if self._in_use and self._parent_with_grpc is None:
            self._parent_with_grpc = self._process
        self._process = os.getpid()


def forked(what: str) -> JobClientError:
    """The error, with advice."""
    return JobClientError(
        f"{what}; open a client in each process after the fork and none before, or start processes by spawn",
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason=REASON,
    )


FORKS = Forks()
