"""The desired state of the fleet, as this worker knows it."""

from collections.abc import Callable

from job_client._gen.jobs.v1.worker_pb2 import Fleet


class DesiredFleet:
    """The latest desired state received, and the one that this worker follows.

    Before the first one it consumes nothing.
    """

    def __init__(self, worker_name: str, on_change: Callable[[], None]) -> None:
        """`on_change` is called when the desired state of this worker has changed."""
        self._worker_name = worker_name
        self._on_change = on_change
        self._revision = -1
        self._received: Fleet | None = None
        self._assumed_stops: set[str | None] = set()
        self.consuming = False
        """Whether this worker shall take new jobs, except those of `stopped_types`."""
        self.stopped_types: frozenset[str] = frozenset()
        self.stopped_by_name = False
        """Whether this worker is stopped by its name, so that other workers shall take its partitions."""
        self.followed_revision = 0

    def receive(self, fleet: Fleet) -> None:
        """Take the desired state from an answer of the API server. An older revision is ignored."""
        self._assumed_stops.clear()
        if fleet.revision > self._revision:
            self._revision, self._received = fleet.revision, fleet
        self._review()

    def assume_stopped(self, job_type: str | None) -> None:
        """A claim was refused because of a stop that has not been received yet: of this type, or None, of all
        types.

        This worker takes no such job until it receives the desired state.
        """
        self._assumed_stops.add(job_type)
        self._review()

    def reset(self) -> None:
        """The API server does not know this worker.

        What was received before is void, and nothing is consumed.
        """
        self._revision, self._received = -1, None
        self.followed_revision = 0
        self._set(False, self.stopped_types, self.stopped_by_name)

    def allows(self, job_type: str) -> bool:
        """Whether this worker shall take new jobs of this type."""
        return self.consuming and job_type not in self.stopped_types

    @property
    def is_followed(self) -> bool:
        """Whether this worker follows the latest desired state."""
        return self.followed_revision >= self._revision

    def mark_followed(self) -> None:
        """No claim that the latest desired state forbids is under way any more."""
        self.followed_revision = max(self._revision, 0)

    def _review(self) -> None:
        fleet = self._received
        if fleet is None:
            return
        stopped_by_name = self._worker_name in fleet.stopped_workers
        consuming = fleet.consuming and not stopped_by_name and None not in self._assumed_stops
        assumed_types = {job_type for job_type in self._assumed_stops if job_type is not None}
        self._set(consuming, frozenset(fleet.stopped_types) | assumed_types, stopped_by_name)

    def _set(self, consuming: bool, stopped_types: frozenset[str], stopped_by_name: bool) -> None:
        before = (self.consuming, self.stopped_types, self.stopped_by_name)
        self.consuming, self.stopped_types, self.stopped_by_name = consuming, stopped_types, stopped_by_name
        if (consuming, stopped_types, stopped_by_name) != before:
            self._on_change()
