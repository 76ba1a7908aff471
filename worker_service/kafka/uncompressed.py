"""Skips compressed batches, before anything inflates them.

API servers write no compressed batches. A compressed batch of less than 1 MB may inflate to 850 MiB, which
aiokafka does in one piece and without a limit. aiokafka has no setting for that, so its class that reads the
batches of one partition is replaced.
"""

from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

log = structlog.get_logger()

PartitionRecords: Any = fetcher.PartitionRecords
MAGIC = 2
"""The version of the format of batches. Older versions hide in their messages whether these are compressed.
"""


def skip_compressed_batches() -> None:
    """From now on, no consumer of this process inflates a batch. May be called again."""
    fetcher.PartitionRecords = UncompressedRecords


class UncompressedRecords(PartitionRecords):  # type: ignore[misc]  # - aiokafka has no types
    """The records of the batches that are not compressed."""

    def __init__(self, tp: TopicPartition, records: Any, *options: Any) -> None:
        super().__init__(tp, _Batches(records, lambda batch: _log_skipped(tp, batch)), *options)


class _Batches:
    """aiokafka's batches, with a _Skipped in place of each that is compressed."""

    def __init__(self, batches: Any, on_skipped: Callable[[Any], None]) -> None:
        self._on_skipped = on_skipped
        self._batches = batches
        self.has_next: Callable[[], bool] = batches.has_next

    def next_batch(self) -> Any:
        batch = self._batches.next_batch()
        if getattr(batch, "magic", 0) == MAGIC and not batch.compression_type:
            return batch
        self._on_skipped(batch)
        return _Skipped(batch.next_offset)


class _Skipped:
    """A batch of which aiokafka reads no more than where the next one begins."""

    is_control_batch = True
    is_transactional = False
    producer_id = None

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset

    def validate_crc(self) -> bool:
        return True


def _log_skipped(partition: TopicPartition, batch: Any) -> None:
    log.warning(
        "compressed_batch_skipped",
        topic=partition.topic,
        partition=partition.partition,
        next_offset=batch.next_offset,
        remedy="only API servers should write to the topics of jobs; they compress nothing",
    )
