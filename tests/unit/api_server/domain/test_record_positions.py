"""Whether the workers' group has still to read the record of a job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.record_positions import PartitionState, RecordPosition

PARTITION = PartitionState(committed=10, start=5, end=20, first_time=100)


@pytest.mark.parametrize(
    ("offset", "waits"), [(4, False), (5, False), (9, False), (10, True), (19, True), (20, False)]
)
def test_records_from_the_committed_offset_to_the_end_are_still_to_be_read(offset: int, waits: bool) -> None:
    assert PARTITION.holds(RecordPosition(0, offset, 100)) is waits


@pytest.mark.parametrize("committed", [None, 4, 21])
def test_a_group_without_a_valid_commit_has_still_to_read_the_whole_partition(committed: int | None) -> None:
    log = PartitionState(committed, start=5, end=20, first_time=100)
    assert [offset for offset in range(25) if log.holds(RecordPosition(0, offset, 100))] == list(range(5, 20))


def test_a_group_whose_commit_was_moved_back_reads_the_record_again() -> None:
    assert not PartitionState(12, 5, 20, 100).holds(RecordPosition(0, 11, 100))
    assert PartitionState(11, 5, 20, 100).holds(RecordPosition(0, 11, 100))


@pytest.mark.parametrize(("time", "waits"), [(99, False), (100, True), (101, True)])
def test_a_record_older_than_the_first_one_was_in_a_deleted_partition(time: int, waits: bool) -> None:
    assert PARTITION.holds(RecordPosition(0, 15, time)) is waits


def test_an_empty_partition_holds_no_record() -> None:
    assert not PartitionState(20, 20, 20, None).holds(RecordPosition(0, 20, 100))
    assert not PartitionState(None, 0, 0, None).holds(RecordPosition(0, 0, 100))


@given(
    committed=st.none() | st.integers(0, 30),
    start=st.integers(0, 20),
    length=st.integers(0, 20),
    offset=st.integers(0, 50),
)
def test_a_partition_holds_records_that_exist_and_are_not_committed(
    committed: int | None, start: int, length: int, offset: int
) -> None:
    end = start + length
    log = PartitionState(committed, start, end, first_time=0 if length else None)
    is_committed = committed is not None and offset < committed <= end
    assert log.holds(RecordPosition(0, offset, 0)) is (start <= offset < end and not is_committed)
