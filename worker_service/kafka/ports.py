"""What Kafka's part of a worker hands over to the others, and what it needs from them."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from worker_service.kafka.offsets import Partition, Ticket


class RecordSink(Protocol):
    """Takes the records that were polled."""

    def wants(self, topic: str) -> bool:
        """Whether records of `topic` may be polled now."""

    def accept(self, partition: Partition, offset: int, value: bytes | None) -> None:
        """Take one record."""

    async def revoked(self, partitions: AbstractSet[Partition]) -> None:
        """Kafka is about to take these partitions away. Returns soon."""


class FinishedRecords(Protocol):
    """Takes the records whose offsets may be committed."""

    def finish(self, ticket: Ticket) -> None:
        """The claim of this record's job is durable or was refused, or the record can never be claimed."""


class Assignment(Protocol):
    """Knows the partitions of this process."""

    def assignment(self) -> frozenset[Partition]:
        """The partitions that this process consumes now."""


class OffsetStore(Assignment, Protocol):
    """Stores offsets."""

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset to read of each partition. Raises PartitionsLost, CommitFailed."""


class BrokerContacts(Protocol):
    """Counts how often the broker was reached."""

    contacts: int


class HealthStatus(Protocol):
    """Answers health checks."""

    async def set_serving(self, serving: bool) -> None:
        """What health checks answer from now on."""
