"""Takes polled records in: decodes them and puts each into the lane of its job type."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import structlog

from contract_runtime.topics import type_of
from service_runtime.validation import ContractValidator
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.kafka.offsets import OffsetTracker, Partition, Ticket
from worker_service.kafka.records import BadRecord, decode_record
from worker_service.state.desired_fleet import DesiredFleet
from worker_service.state.totals import Totals

log = structlog.get_logger()

REVOKE_SECONDS = 2.0
"""How long a rebalance waits for claims under way."""


class Intake:
    """What the consumer asks and tells. Nothing here blocks but `revoked`."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        tracker: OffsetTracker,
        desired: DesiredFleet,
        claimer: Claimer,
        in_flight: InFlightJobs,
        validator: ContractValidator,
        totals: Totals,
        *,
        finish: Callable[[Ticket], None],
    ) -> None:
        """`lanes` by topic. `finish` is told each record that can never be claimed."""
        self._lanes = lanes
        self._tracker = tracker
        self._desired = desired
        self._claimer = claimer
        self._in_flight = in_flight
        self._validator = validator
        self._totals = totals
        self._finish = finish

    def wants(self, topic: str) -> bool:
        """Whether records of `topic` may be polled now."""
        allowed = self._desired.allows(type_of(topic))
        return allowed and not self._claimer.in_trouble and not self._lanes[topic].full

    def accept(self, partition: Partition, offset: int, value: bytes | None) -> None:
        """Take one record in. A bad one is told, counted and done with: it must not block its partition."""
        ticket = self._tracker.begin(partition, offset)
        if ticket is None:
            # Its partition is being taken away; whoever gets it next polls the record again.
            return
        try:
            record = decode_record(value, partition.topic, self._validator)
        except BadRecord as error:
            self._totals.bad_records += 1
            log.warning(
                "bad_record",
                topic=partition.topic,
                partition=partition.partition,
                offset=offset,
                problem=str(error),
                bad_records=self._totals.bad_records,
            )
            self._finish(ticket)
            return
        self._lanes[partition.topic].add(WaitingRecord(record, ticket, size=len(value or b"")))

    async def revoked(self, partitions: AbstractSet[Partition]) -> None:
        """Forget what waits of `partitions`, and give claims under way a moment, so that their offsets count."""
        for lane in set(self._lanes.values()):
            lane.drop(partitions)
        self._in_flight.drop_successors(partitions)
        await self._claimer.quiet(REVOKE_SECONDS)
