"""Compressed batches are skipped; the records before and after them are read."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from structlog.testing import capture_logs

from worker_service.kafka.uncompressed import PartitionRecords, UncompressedRecords, skip_compressed_batches

NONE, GZIP = 0, 1
PARTITION = TopicPartition("jobs.compute", 3)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = fetcher.PartitionRecords
    yield
    fetcher.PartitionRecords = before


def batch(first_offset: int, codec: int, *values: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1_000_000)
    for delta, value in enumerate(values):
        builder.append(delta, 0, None, value, [])
    content = bytearray(builder.build())
    struct.pack_into(">q", content, 0, first_offset)
    return bytes(content)


def legacy(codec: int, value: bytes) -> bytes:
    builder = LegacyRecordBatchBuilder(1, codec, 1_000_000)
    builder.append(0, 0, None, value)
    return bytes(builder.build())


def records(content: bytes) -> Any:
    return UncompressedRecords(PARTITION, MemoryRecords(content), [], 0, None, None, True, 0)


def test_a_compressed_batch_is_skipped_and_the_others_are_read() -> None:
    content = batch(0, NONE, b"a", b"b") + batch(2, GZIP, b"x" * 1000, b"y" * 1000) + batch(4, NONE, b"c")
    with capture_logs() as logs:
        assert [(record.offset, record.value) for record in records(content)] == [
            (0, b"a"),
            (1, b"b"),
            (4, b"c"),
        ]
    assert [(line["event"], line["topic"], line["partition"], line["next_offset"]) for line in logs] == [
        ("compressed_batch_skipped", "jobs.compute", 3, 4)
    ]


def test_after_a_compressed_batch_at_the_end_the_next_fetch_begins_behind_it() -> None:
    read = records(batch(7, GZIP, b"x" * 1000))
    assert list(read) == []
    assert read.next_fetch_offset == 8


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_messages_of_old_formats_are_skipped(codec: int) -> None:
    assert list(records(legacy(codec, b"x" * 1000))) == []


def test_consumers_use_it_from_then_on() -> None:
    fetcher.PartitionRecords = PartitionRecords
    skip_compressed_batches()
    skip_compressed_batches()
    assert fetcher.PartitionRecords is UncompressedRecords
    assert issubclass(UncompressedRecords, PartitionRecords)
