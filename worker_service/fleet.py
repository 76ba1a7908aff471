"""What the fleet shall do, as this worker knows it."""

from collections.abc import Callable

from jobs.v1.worker_pb2 import Fleet


class FleetWish:
    """The latest wish heard, and the one that is being followed. Before the first one nothing is consumed."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change` is called when `consuming` has changed."""
        self._on_change = on_change
        self._revision = -1
        self.consuming = False
        self.followed_revision = 0

    def hear(self, fleet: Fleet, *, anew: bool = False) -> None:
        """Take in an answer of the API server. An older one, overtaken on the way, is ignored, unless the worker
        registers `anew`: then the answer stands, whatever was heard before.
        """
        if fleet.revision <= self._revision and not anew:
            return
        self._revision = fleet.revision
        if fleet.consuming != self.consuming:
            self.consuming = fleet.consuming
            self._on_change()

    @property
    def followed(self) -> bool:
        """Whether the latest wish is being followed."""
        return self.followed_revision >= self._revision

    def follow(self) -> None:
        """Note that nothing contrary to the latest wish is under way any more."""
        self.followed_revision = max(self._revision, 0)
