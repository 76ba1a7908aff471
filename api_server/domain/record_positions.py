"""Where a job's record lies in Kafka, and whether workers still have it before them. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordPosition:
    """One record's place in its type's topic. `time`: the record's own, milliseconds since 1970."""

    partition: int
    offset: int
    time: int


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition as it is now: records from `start` to before `end`, and what the workers' group has done with.

    `committed` None: nothing. `first_time`: the time of the record at `start`; None: there are no records.
    """

    committed: int | None
    start: int
    end: int
    first_time: int | None

    def holds(self, position: RecordPosition) -> bool:
        """Whether the record of `place` is there and the group has still to read it.

        A topic that was deleted and made again counts its offsets from 0 anew, so that the offset of a record that is
        gone may soon be another's. But then the first record there is younger than the one that is gone.
        """
        if self.first_time is None or self.first_time > position.time:
            return False
        return self._next <= position.offset < self.end

    @property
    def _next(self) -> int:
        """Where the group reads on. A commit outside of the log is of records that are gone, and the group begins at
        the start.
        """
        if self.committed is None or not self.start <= self.committed <= self.end:
            return self.start
        return self.committed
