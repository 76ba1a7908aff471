"""What becomes of clients when their process forks.

gRPC's threads are not in the child, but what they hold is: locks, connections, a queue that nobody serves any more. A call that the
child makes there hangs, or ends the process by signal 11. gRPC's own support for forks covers its blocking API: with grpc.aio its
thread is always inside gRPC, and the support says "Other threads are currently calling into gRPC, skipping fork() handlers". So
such a child is told so. A fork while nothing of grpc.aio is open does no harm.
"""

import os
import threading
from weakref import WeakSet

import grpc

from job_client.errors import JobClientError

REASON = "CLIENT_FORKED"
POLLER = "(_poll_wrapper)"
"""In the name of grpc.aio's thread, which runs while any of its channels or servers is open, this client's or not."""


class Forks:
    """What this process knows of the forks that it comes from."""

    def __init__(self) -> None:
        self._open: WeakSet[object] = WeakSet()
        self._unfit_parent: int | None = None
        """Of this process: grpc.aio was in use when it forked."""
        self._in_use = False
        self._process = os.getpid()
        os.register_at_fork(before=self._before, after_in_child=self._after_in_child)

    def check(self) -> None:
        """Raise JobClientError if gRPC cannot be used in this process."""
        if self._unfit_parent is not None:
            raise forked(
                f"this process was forked from process {self._unfit_parent} while gRPC was in use there, and cannot use it"
            )

    def add(self, opened: object) -> None:
        self._open.add(opened)

    def remove(self, opened: object) -> None:
        self._open.discard(opened)

    def _before(self) -> None:
        self._in_use = bool(self._open) or any(POLLER in thread.name for thread in threading.enumerate())

    def _after_in_child(self) -> None:
        if self._in_use and self._unfit_parent is None:
            self._unfit_parent = self._process
        self._process = os.getpid()


def forked(what: str) -> JobClientError:
    """The error with what to do about it."""
    return JobClientError(
        f"{what}; open a client in each process after the fork and none before, or start processes by spawn",
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason=REASON,
    )


FORKS = Forks()
