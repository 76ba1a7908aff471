"""The position of a job's record in Kafka, and whether the workers have still to read it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordPosition:
    """One record's position in the topic of its job type.

    `time`: the record's timestamp, milliseconds since 1970.
    """

    partition: int
    offset: int
    time: int


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition as it is now. It has the records from offset `start` to before `end`.

    `committed`: the offset that the workers' group has committed; None: none. `first_time`: the timestamp of
    the record at `start`; None: the partition is empty.
    """

    committed: int | None
    start: int
    end: int
    first_time: int | None

    def holds(self, position: RecordPosition) -> bool:
        """Whether the record at `position` exists and the group has still to read it.

        A topic that was deleted and created again counts its offsets from 0, so that another record may soon
        have the offset of a deleted one. But then the first record in the partition is newer than the deleted
        one.
        """
        if self.first_time is None or self.first_time > position.time:
            return False
        return self._next <= position.offset < self.end

    @property
    def _next(self) -> int:
        """The offset that the group reads next.

        A committed offset outside the partition belongs to deleted records: the group then begins at the
        start.
        """
        if self.committed is None or not self.start <= self.committed <= self.end:
            return self.start
        return self.committed
