"""What the fleet shall do, as this worker knows it."""

from collections.abc import Callable

from jobs.v1.worker_pb2 import Fleet


class DesiredFleet:
    """The latest wish heard, and the one that is being followed. Before the first one nothing is consumed."""

    def __init__(self, worker_name: str, on_change: Callable[[], None]) -> None:
        """`on_change` is called when what this worker shall do has changed."""
        self._worker_name = worker_name
        self._on_change = on_change
        self._revision = -1
        self._heard: Fleet | None = None
        self._doubts: set[str | None] = set()
        self.consuming = False
        """Whether this worker shall take new jobs, but for those of `stopped_types`."""
        self.stopped_types: frozenset[str] = frozenset()
        self.stopped_by_name = False
        """Whether others shall take what would come to this worker."""
        self.followed_revision = 0

    def hear(self, fleet: Fleet) -> None:
        """Take in an answer of the API server. An older one, overtaken on the way, is ignored."""
        self._doubts.clear()
        if fleet.revision > self._revision:
            self._revision, self._heard = fleet.revision, fleet
        self._review()

    def doubt(self, job_type: str | None) -> None:
        """A claim was refused because of a stop that this worker has not heard of: of a type or, None, of all. It takes none
        of these until it hears the wish.
        """
        self._doubts.add(job_type)
        self._review()

    def forget(self) -> None:
        """The API server does not know this worker: whatever was heard before stands no more, and nothing is consumed."""
        self._revision, self._heard = -1, None
        self.followed_revision = 0
        self._set(False, self.stopped_types, self.stopped_by_name)

    def allows(self, job_type: str) -> bool:
        """Whether this worker shall take new jobs of a type."""
        return self.consuming and job_type not in self.stopped_types

    @property
    def followed(self) -> bool:
        """Whether the latest wish is being followed."""
        return self.followed_revision >= self._revision

    def follow(self) -> None:
        """Note that nothing contrary to the latest wish is under way any more."""
        self.followed_revision = max(self._revision, 0)

    def _review(self) -> None:
        fleet = self._heard
        if fleet is None:
            return
        stopped_by_name = self._worker_name in fleet.stopped_workers
        consuming = fleet.consuming and not stopped_by_name and None not in self._doubts
        stopped_types = frozenset(fleet.stopped_types) | {each for each in self._doubts if each is not None}
        self._set(consuming, stopped_types, stopped_by_name)

    def _set(self, consuming: bool, stopped_types: frozenset[str], stopped_by_name: bool) -> None:
        before = (self.consuming, self.stopped_types, self.stopped_by_name)
        self.consuming, self.stopped_types, self.stopped_by_name = consuming, stopped_types, stopped_by_name
        if (consuming, stopped_types, stopped_by_name) != before:
            self._on_change()
