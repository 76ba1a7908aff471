"""Decodes polled records and puts each into the lane of its job type."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import structlog

from contract_runtime.topics import type_of
from service_runtime.validation import ContractValidator
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.lanes import Lane
from worker_service.claiming.worker_state import WorkerState
from worker_service.kafka.offsets import OffsetTracker, Partition
from worker_service.kafka.ports import FinishedRecords, RecordSink
from worker_service.kafka.records import BadRecord, decode_record

log = structlog.get_logger()

REVOKE_SECONDS = 2.0
"""How long a rebalance waits for claims under way."""


class Intake(RecordSink):
    """Takes records from the consumer. Only `revoked` waits for anything."""

    def __init__(
        self,
        state: WorkerState,
        lanes: Mapping[str, Lane],
        claimer: Claimer,
        tracker: OffsetTracker,
        records: FinishedRecords,
        validator: ContractValidator,
    ) -> None:
        """`lanes` by topic. `records` takes each record that can never be claimed."""
        self._state = state
        self._lanes = lanes
        self._claimer = claimer
        self._tracker = tracker
        self._records = records
        self._validator = validator

    def wants(self, topic: str) -> bool:
        """Whether records of `topic` may be polled now."""
        allowed = self._state.desired.allows(type_of(topic))
        return allowed and not self._claimer.in_trouble and not self._lanes[topic].full

    def accept(self, partition: Partition, offset: int, value: bytes | None) -> None:
        """Put one record into its lane.

        A bad record is logged, counted and finished, so that it blocks no partition.
        """
        ticket = self._tracker.begin(partition, offset)
        if ticket is None:
            # The partition is being taken away. Its next owner polls this record again.
            return
        try:
            record = decode_record(value, partition.topic, self._validator)
        except BadRecord as error:
            self._state.totals.bad_records += 1
            log.warning(
                "bad_record",
                topic=partition.topic,
                partition=partition.partition,
                offset=offset,
                problem=str(error),
                bad_records=self._state.totals.bad_records,
            )
            self._records.finish(ticket)
            return
        self._lanes[partition.topic].add(WaitingRecord(record, ticket, size=len(value or b"")))

    async def revoked(self, partitions: AbstractSet[Partition]) -> None:
        """Forget the waiting records of `partitions`.

        Wait a moment for claims under way, so that their offsets count.
        """
        for lane in set(self._lanes.values()):
            lane.drop(partitions)
        self._state.in_flight.drop_successors(partitions)
        await self._claimer.wait_idle(REVOKE_SECONDS)
