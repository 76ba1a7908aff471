"""What the parts of one worker share."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from job_client._gen.jobs.v1.fleet_service_pb2 import HandlerSchema
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from worker_service.claiming.in_flight import InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.claiming.suspects import Suspects
from worker_service.state.desired_fleet import DesiredFleet
from worker_service.state.totals import Totals


class WorkerState:
    """Data only: who this worker is, what waits, what is in flight, what the fleet shall do, and what was
    done.

    The events wake the parts that follow the data. It belongs to this room because lanes and jobs in flight
    do.
    """

    def __init__(
        self,
        identity: WorkerIdentity,
        lane_limits: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        lane_names: Mapping[str, str] = MappingProxyType({}),
        schemas: Sequence[HandlerSchema] = (),
    ) -> None:
        """`lane_limits`: how many jobs each lane runs at a time, by the lane's name.

        `lane_names`: the lane of each job type. `schemas`: what handlers declare.
        """
        self.identity = identity
        self.schemas = schemas
        self._lane_names = lane_names
        self.claim_wake = asyncio.Event()
        """Set when there may be something to claim."""
        self.pause_wake = asyncio.Event()
        """Set when partitions may have to be paused or resumed."""
        self.membership_wake = asyncio.Event()
        """Set when this worker may have to join or leave the consumer group."""
        self.lanes: Mapping[str, Lane] = {
            name: Lane(limit, on_work=self.claim_wake.set, on_full_change=self.pause_wake.set, clock=clock)
            for name, limit in lane_limits.items()
        }
        self.in_flight = InFlightJobs(Suspects(clock))
        self.desired = DesiredFleet(identity.name, self._apply_desired)
        self.totals = Totals()
        self.untaken_types: frozenset[str] = frozenset()
        """Of this worker's job types, those that the API server does not take."""

    @property
    def busy_types(self) -> list[str]:
        """The job types for which there is no free slot, in order.

        While a suspect runs alone, or the worker gets empty for it, these are all types.
        """
        alone = self.in_flight.suspects.closed
        return sorted(
            job_type for job_type, lane in self._lane_names.items() if alone or not self.lanes[lane].capacity
        )

    def _apply_desired(self) -> None:
        for lane in self.lanes.values():
            lane.shut_out(self.desired.stopped_types)
        for wake in (self.claim_wake, self.pause_wake, self.membership_wake):
            wake.set()
